"""Which ones: the filters of lists."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import strawberry

from app.audit import selecting
from app.eventlog import epochs
from app.graphql import identifiers, source
from app.graphql.compiler.filtering import Filter
from app.graphql.types import enums, orders, scalars


def _id(type_name: str) -> Callable[[str], UUID | None]:
    return lambda text: identifiers.uuid_of(text, type_name=type_name)


def _names(members: list[Any]) -> list[str]:
    return [member.value for member in members]


def _normal_prefix(text: str) -> str:
    return text.strip().upper()


def _any_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _subject(text: str) -> UUID | None:
    found = identifiers.parsed(text)
    return found[1] if found else None


def _text(place: epochs.Place) -> str:
    return place.text


@strawberry.input(description="Which service instances: those that fulfil everything given.")
class ServiceInstanceFilter:
    """Which service instances."""

    project: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Of this project."
    )
    environment: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="In this environment."
    )
    state: list[enums.ServiceInstanceState] | None = strawberry.field(
        default=strawberry.UNSET, description="In one of these states."
    )
    kind: list[enums.ServiceKind] | None = strawberry.field(
        default=strawberry.UNSET, description="Of one of these kinds."
    )
    offering: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="Of one of these offerings, by name."
    )
    prefix: str | None = strawberry.field(
        default=strawberry.UNSET, description="With exactly this prefix."
    )
    wanted: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Wanted in the next revision, or not."
    )
    parked: bool | None = strawberry.field(
        default=strawberry.UNSET, description="New and not wanted, or anything else."
    )


SERVICE_INSTANCES = {
    "project": Filter("{there}.project_id = {value}::uuid", _id("Project")),
    "environment": Filter("{there}.environment_id = {value}::uuid", _id("Environment")),
    "state": Filter("{there}.state = ANY({value}::text[])", _names),
    "kind": Filter("{there}.kind = ANY({value}::text[])", _names),
    "offering": Filter("{there}.offering = ANY({value}::text[])"),
    "prefix": Filter("{there}.prefix = {value}::text", _normal_prefix),
    "wanted": Filter("{there}.wanted = {value}::bool"),
    "parked": Filter("{there}.parked = {value}::bool"),
}


@strawberry.input(description="Which events: those that fulfil everything given.")
class AuditEventFilter:
    """Which events."""

    events: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="Of one of these names."
    )
    subject: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="About this project, environment, instance, …"
    )
    project: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="About this project or anything in it."
    )
    environment: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="About this environment or anything in it."
    )
    actor: str | None = strawberry.field(
        default=strawberry.UNSET, description="Caused by this person or process."
    )
    correlation_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="That belong together under this id."
    )
    after: scalars.Position | None = strawberry.field(
        default=strawberry.UNSET, description="After this position."
    )
    until: scalars.Position | None = strawberry.field(
        default=strawberry.UNSET, description="Up to this position."
    )
    recorded_from: scalars.DateTime | None = strawberry.field(
        default=strawberry.UNSET, description="Recorded at this time or later."
    )
    recorded_before: scalars.DateTime | None = strawberry.field(
        default=strawberry.UNSET, description="Recorded before this time."
    )


EVENTS = {
    "events": Filter(selecting.EVENTS),
    "subject": Filter(selecting.SUBJECT, _subject),
    "project": Filter(selecting.PROJECT, _id("Project")),
    "environment": Filter(selecting.ENVIRONMENT, _id("Environment")),
    "actor": Filter(selecting.ACTOR),
    "correlationId": Filter(selecting.CORRELATION, _any_uuid),
    "after": Filter(selecting.AFTER, _text),
    "until": Filter(selecting.UNTIL, int),
    "recordedFrom": Filter(selecting.RECORDED_FROM),
    "recordedBefore": Filter(selecting.RECORDED_BEFORE),
}

SERVICE_INSTANCE_ARGUMENTS = (
    source.argument("filter", ServiceInstanceFilter | None, "Which ones; all if not given."),
    source.argument(
        "order_by",
        orders.ServiceInstanceOrder,
        "In which order.",
        default=orders.ServiceInstanceOrder.CREATED_AT_ASC,
    ),
)
