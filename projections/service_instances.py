"""Service instances as they are: the domain's own fold, stored.

A row is turned into facts, the domain takes the event in, and the facts become the next row.
That row keeps the facts, and its columns are made when they are asked for: most rows are only
the step to the next one.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar, get_args
from uuid import UUID

from domain import events, service_facts, service_fold, states, values
from projections.projection import (
    Column,
    EventClasses,
    Foldable,
    Index,
    Key,
    Row,
    Table,
    WrittenRow,
    holds,
)

_Value = TypeVar("_Value")
_EVOLVE = service_fold.evolve.registry  # at a fraction of what singledispatch takes to find it


class ServiceInstances:
    """A row per service instance, also once it is removed."""

    version: ClassVar[int] = 2
    folds: ClassVar[EventClasses] = frozenset(get_args(events.ServiceEvent))
    table: ClassVar[Table] = Table(
        name="service_instances",
        columns=(
            Column("id", "uuid"),
            Column("project_id", "uuid"),
            Column("environment_id", "uuid"),
            Column("environment_name", "text"),
            Column("offering", "text"),
            Column("kind", "text"),
            Column("plan", "text"),
            Column("region", "text"),
            Column("prefix", "text"),
            Column("parameters", "jsonb"),
            Column("variable_names", "text[]"),
            Column("protected", "bool"),
            Column("state", "text"),
            Column("functional", "bool"),
            Column("usable", "bool"),
            Column("wanted", "bool"),
            Column("parked", "bool"),
            Column("abandoned", "bool"),
            Column("confirmation", "text"),
            Column("resource", "text"),
            Column("applied", "bool"),
            Column("was_ready", "bool"),
            Column("was_requested", "bool"),
            Column("operation_id", "uuid", is_nullable=True),
            Column("operation_kind", "text", is_nullable=True),
            Column("operation_status", "text", is_nullable=True),
            Column("operation_attempt", "int4", is_nullable=True),
            Column("operation_started_at", "timestamptz", is_nullable=True),
            Column("operation_deadline", "timestamptz", is_nullable=True),
            Column("operation_error_code", "text", is_nullable=True),
            Column("operation_error_message", "text", is_nullable=True),
            Column("operation_next_attempt_at", "timestamptz", is_nullable=True),
            Column("requested_plan", "text", is_nullable=True),
            Column("requested_parameters", "jsonb", is_nullable=True),
            Column("next_plan", "text", is_nullable=True),
            Column("next_parameters", "jsonb", is_nullable=True),
            Column("secret_version", "int4"),
            Column("secret_versions", "int4[]"),
            Column("applied_secret_version", "int4", is_nullable=True),
            Column("owes_renewal", "bool"),
            Column("renewal_attempts", "int4"),
            Column("applied_prefix", "text", is_nullable=True),
            Column("applied_variable_names", "text[]", is_nullable=True),
            Column("removal_requested", "bool"),
            Column("wanted_before_removal", "bool"),
            Column("removal_scheduled_for", "timestamptz", is_nullable=True),
            Column("removal_attempts", "int4"),
            Column("deployment_id", "uuid", is_nullable=True),
            Column("deployment_role", "text", is_nullable=True),
            Column("created_at", "timestamptz"),
            Column("updated_at", "timestamptz"),
            Column("version", "int4"),
            Column("position", "int8"),
        ),
        primary_key=("id",),
        indexes=(
            # An environment holds hundreds of instances, a project a thousand: found by one
            # index they are sorted in no time. Every further index costs each write.
            Index(("environment_id", "created_at", "id")),
            Index(("project_id", "created_at", "id")),
            Index(("created_at", "id")),
            Index(("updated_at", "id")),
            Index(("prefix", "id")),
            Index(("state", "created_at", "id")),
            Index(
                ("created_at", "id"),
                where="resource = 'DELETING' OR removal_requested AND state <> 'REMOVED'",
            ),
            Index(("created_at", "id"), where="abandoned"),
        ),
    )

    def keys(self, recorded: Foldable) -> Sequence[Key]:
        """Return the service instance whose event it is."""
        event = recorded.event
        return [(event.originator_id,)] if events.is_service_event(event) else []

    def fold(self, row: Row | None, recorded: Foldable, key: Key) -> Row | None:
        """Return the service instance after the event."""
        event = recorded.event
        if holds(row, recorded) or not events.is_service_event(event):
            return row
        return _FoldedRow(
            _facts_after(event, row),
            {
                "id": key[0],
                "created_at": recorded.recorded_at if row is None else row["created_at"],
                "updated_at": recorded.recorded_at,
                "version": event.originator_version,
                "position": recorded.position,
            },
        )


class _FoldedRow(WrittenRow):
    """A row as a fold left it."""

    __slots__ = ("_own", "facts")

    def __init__(self, facts: service_facts.ServiceFacts, own: dict[str, Any]) -> None:
        self.facts = facts
        self._own = own

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  as it is in the row
        own = self._own
        return own[name] if name in own else _COLUMNS[name](self.facts)

    def __iter__(self) -> Iterator[str]:
        return (column.name for column in ServiceInstances.table.columns)

    def __len__(self) -> int:
        return len(ServiceInstances.table.columns)

    def written(self) -> dict[str, Any]:
        """Return the facts as they are, and what follows from them."""
        facts = self.facts
        values = vars(facts) | _NO_OPERATION | self._own
        values["state"] = facts.state
        values["functional"] = facts.is_functional
        values["usable"] = facts.is_usable
        values["parked"] = facts.is_parked
        values["confirmation"] = facts.label
        if facts.operation is not None:
            values.update({f"{_OPERATION}{k}": v for k, v in vars(facts.operation).items()})
        return values


def facts_of(row: Row) -> service_facts.ServiceFacts:
    """Return the facts that a row holds, be its values psycopg's or JSON's."""
    if isinstance(row, _FoldedRow):
        return row.facts
    return service_facts.ServiceFacts(
        project_id=_identifier(row["project_id"]),
        environment_id=_identifier(row["environment_id"]),
        environment_name=row["environment_name"],
        offering=row["offering"],
        kind=values.ServiceKind(row["kind"]),
        plan=row["plan"],
        region=row["region"],
        parameters=row["parameters"],
        prefix=row["prefix"],
        variable_names=tuple(row["variable_names"]),
        protected=row["protected"],
        resource=states.Resource(row["resource"]),
        applied=row["applied"],
        wanted=row["wanted"],
        was_ready=row["was_ready"],
        was_requested=row["was_requested"],
        operation=_operation_of(row),
        requested_plan=row["requested_plan"],
        requested_parameters=row["requested_parameters"],
        next_plan=row["next_plan"],
        next_parameters=row["next_parameters"],
        secret_version=row["secret_version"],
        secret_versions=tuple(row["secret_versions"]),
        applied_secret_version=row["applied_secret_version"],
        owes_renewal=row["owes_renewal"],
        renewal_attempts=row["renewal_attempts"],
        applied_prefix=row["applied_prefix"],
        applied_variable_names=_maybe(tuple, row["applied_variable_names"]),
        removal_requested=row["removal_requested"],
        wanted_before_removal=row["wanted_before_removal"],
        removal_scheduled_for=_maybe(_moment, row["removal_scheduled_for"]),
        removal_attempts=row["removal_attempts"],
        deployment_id=_maybe(_identifier, row["deployment_id"]),
        deployment_role=_maybe(values.DeploymentRole, row["deployment_role"]),
        abandoned=row["abandoned"],
    )


def _operation_of(row: Row) -> service_facts.Operation | None:
    if row["operation_id"] is None:
        return None
    return service_facts.Operation(
        id=_identifier(row["operation_id"]),
        kind=values.OperationKind(row["operation_kind"]),
        status=values.OperationStatus(row["operation_status"]),
        attempt=row["operation_attempt"],
        started_at=_moment(row["operation_started_at"]),
        deadline=_moment(row["operation_deadline"]),
        error_code=row["operation_error_code"],
        error_message=row["operation_error_message"],
        next_attempt_at=_maybe(_moment, row["operation_next_attempt_at"]),
    )


def _facts_after(event: events.ServiceEvent, row: Row | None) -> service_facts.ServiceFacts:
    if isinstance(event, events.ServiceAdded):
        return service_fold.begin(event)
    if row is None:
        raise ValueError(f"{event.originator_id} has {event.TOPIC} before ServiceAdded")
    return _EVOLVE[type(event)](event, facts_of(row))


# A member's own text: to ask an enum for `value` takes several times as long.
_UNLIKE_FACTS: Mapping[str, Callable[[service_facts.ServiceFacts], Any]] = {
    "kind": lambda facts: str(facts.kind),
    "variable_names": lambda facts: list(facts.variable_names),
    "state": lambda facts: str(facts.state),
    "functional": lambda facts: facts.is_functional,
    "usable": lambda facts: facts.is_usable,
    "parked": lambda facts: facts.is_parked,
    "confirmation": lambda facts: facts.label,
    "resource": lambda facts: str(facts.resource),
    "operation_kind": lambda facts: facts.operation and str(facts.operation.kind),
    "operation_status": lambda facts: facts.operation and str(facts.operation.status),
    "secret_versions": lambda facts: list(facts.secret_versions),
    "applied_variable_names": lambda facts: _maybe(list, facts.applied_variable_names),
    "deployment_role": lambda facts: _maybe(str, facts.deployment_role),
}
_OPERATION = "operation_"
_NO_OPERATION: dict[str, Any] = {
    column.name: None
    for column in ServiceInstances.table.columns
    if column.name.startswith(_OPERATION)
}


def _column(name: str) -> Callable[[service_facts.ServiceFacts], Any]:
    """Return what makes a column of facts: most are facts by the same name."""
    if name in _UNLIKE_FACTS:
        return _UNLIKE_FACTS[name]
    if name.startswith(_OPERATION):
        part = operator.attrgetter(name.removeprefix(_OPERATION))
        return lambda facts: facts.operation and part(facts.operation)
    return operator.attrgetter(name)


_COLUMNS: Mapping[str, Callable[[service_facts.ServiceFacts], Any]] = {
    column.name: _column(column.name) for column in ServiceInstances.table.columns
}


def _maybe(convert: Callable[[Any], _Value], value: Any) -> _Value | None:  # noqa: ANN401  as it is in the row
    return None if value is None else convert(value)


def _identifier(value: UUID | str) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _moment(value: datetime | str) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
