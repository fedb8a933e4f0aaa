import typing
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from domain import events, service_fold, values
from projections import service_instances
from projections.projection import Key, RecordedEvent, Row

Record = Callable[..., RecordedEvent]
Fold = Callable[..., dict[Key, Row]]
AnyFields = Callable[..., st.SearchStrategy[dict[str, Any]]]

INSTANCE = UUID(int=0xC)
ENVIRONMENT = UUID(int=0xB)
PROJECT = UUID(int=0xA)
OPERATION = UUID(int=0xF)
LATER = typing.get_args(events.ServiceEvent)[1:]
UNHURRIED = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
READ_MODEL = service_instances.ServiceInstances()


@pytest.fixture(scope="session")
def added(record: Record) -> RecordedEvent:
    return record(
        events.ServiceAdded,
        of=INSTANCE,
        project_id=PROJECT,
        environment_id=ENVIRONMENT,
        environment_name="live",
        offering="postgres",
        kind=values.ServiceKind.DATABASE,
        plan="small",
        region="local",
        parameters={"size_gb": 1},
        prefix="DEFAULT",
        variable_names=("DEFAULT_DATABASE_DSN", "DATABASE_URL"),
        protected=True,
    )


@st.composite
def later_events(draw: st.DrawFn, *, any_fields: AnyFields, record: Record) -> list[RecordedEvent]:
    classes = draw(st.lists(st.sampled_from(LATER), max_size=12))
    return [
        record(one, of=INSTANCE, position=position, **draw(any_fields(one)))
        for position, one in enumerate(classes, start=2)
    ]


def test_added_instance_is_new_and_wanted(fold: Fold, added: RecordedEvent) -> None:
    rows = fold(READ_MODEL, [added])

    assert rows == {
        (INSTANCE,): {
            "id": INSTANCE,
            "project_id": PROJECT,
            "environment_id": ENVIRONMENT,
            "environment_name": "live",
            "offering": "postgres",
            "kind": "DATABASE",
            "plan": "small",
            "region": "local",
            "prefix": "DEFAULT",
            "parameters": {"size_gb": 1},
            "variable_names": ["DEFAULT_DATABASE_DSN", "DATABASE_URL"],
            "protected": True,
            "state": "NEW",
            "functional": False,
            "usable": False,
            "wanted": True,
            "parked": False,
            "abandoned": False,
            "confirmation": "live/DEFAULT_DATABASE",
            "resource": "ABSENT",
            "applied": False,
            "was_ready": False,
            "was_requested": False,
            "operation_id": None,
            "operation_kind": None,
            "operation_status": None,
            "operation_attempt": None,
            "operation_started_at": None,
            "operation_deadline": None,
            "operation_error_code": None,
            "operation_error_message": None,
            "operation_next_attempt_at": None,
            "requested_plan": None,
            "requested_parameters": None,
            "next_plan": None,
            "next_parameters": None,
            "secret_version": 0,
            "secret_versions": [],
            "applied_secret_version": None,
            "owes_renewal": False,
            "renewal_attempts": 0,
            "applied_prefix": None,
            "applied_variable_names": None,
            "removal_requested": False,
            "wanted_before_removal": False,
            "removal_scheduled_for": None,
            "removal_attempts": 0,
            "deployment_id": None,
            "deployment_role": None,
            "created_at": datetime(2026, 11, 24, 12, 1, tzinfo=UTC),
            "updated_at": datetime(2026, 11, 24, 12, 1, tzinfo=UTC),
            "version": 1,
            "position": 1,
        }
    }


def test_failed_provisioning_is_told_beside_the_state(
    record: Record, fold: Fold, added: RecordedEvent
) -> None:
    started = record(
        events.ServiceProvisioningStarted,
        of=INSTANCE,
        position=2,
        operation_id=OPERATION,
        attempt=1,
        deadline=datetime(2026, 11, 24, 12, 32, tzinfo=UTC),
    )
    failed = record(
        events.ServiceProvisioningFailed,
        of=INSTANCE,
        position=3,
        operation_id=OPERATION,
        code="DEADLINE_EXCEEDED",
        message="The provider did not finish in time.",
    )
    before = fold(READ_MODEL, [added])[INSTANCE,]

    after = fold(READ_MODEL, [added, started, failed])[INSTANCE,]

    assert {name: after[name] for name in after if after[name] != before[name]} == {
        "was_requested": True,
        "requested_plan": "small",
        "requested_parameters": {"size_gb": 1},
        "operation_id": OPERATION,
        "operation_kind": "PROVISION",
        "operation_status": "FAILED",
        "operation_attempt": 1,
        "operation_started_at": datetime(2026, 11, 24, 12, 2, tzinfo=UTC),
        "operation_deadline": datetime(2026, 11, 24, 12, 32, tzinfo=UTC),
        "operation_error_code": "DEADLINE_EXCEEDED",
        "operation_error_message": "The provider did not finish in time.",
        "updated_at": datetime(2026, 11, 24, 12, 3, tzinfo=UTC),
        "version": 3,
        "position": 3,
    }


def test_attached_instance_is_functional_and_usable(
    record: Record, fold: Fold, added: RecordedEvent
) -> None:
    provisioned = record(
        events.ServiceProvisioned,
        of=INSTANCE,
        position=2,
        operation_id=OPERATION,
        secret_version=1,
        is_late=False,
    )
    attached = record(
        events.ServiceAttached,
        of=INSTANCE,
        position=3,
        deployment_id=UUID(int=0xD),
        revision=1,
        prefix="DEFAULT",
        variable_names=("DEFAULT_DATABASE_DSN", "DATABASE_URL"),
        secret_version=1,
    )

    row = fold(READ_MODEL, [added, provisioned, attached])[INSTANCE,]

    assert (row["state"], row["functional"], row["usable"]) == ("ATTACHED", True, True)
    assert row["applied_variable_names"] == ["DEFAULT_DATABASE_DSN", "DATABASE_URL"]
    assert row["secret_versions"] == [1]


def test_instance_begins_with_its_addition(record: Record) -> None:
    orphaned = record(events.ServiceRemovalCancelled, of=INSTANCE, position=2)

    with pytest.raises(ValueError, match="ServiceRemovalCancelled before ServiceAdded"):
        READ_MODEL.fold(None, orphaned, (INSTANCE,))


@hypothesis.settings(UNHURRIED)
@hypothesis.given(data=st.data())
def test_row_holds_what_the_domain_knows(
    data: st.DataObject, any_fields: AnyFields, record: Record, fold: Fold, added: RecordedEvent
) -> None:
    later = data.draw(later_events(any_fields=any_fields, record=record))
    facts = service_fold.begin(added.event)
    for recorded in later:
        facts = service_fold.evolve(recorded.event, facts)

    row = fold(READ_MODEL, [added, *later])[INSTANCE,]

    assert service_instances.facts_of(row) == facts
    assert service_instances.facts_of(dict(row)) == facts
    assert row["state"] == facts.state
    assert row["functional"] == facts.is_functional
    assert row["usable"] == facts.is_usable
    assert row["parked"] == facts.is_parked


@hypothesis.settings(UNHURRIED)
@hypothesis.given(data=st.data())
def test_row_in_json_holds_the_same_facts(
    data: st.DataObject, any_fields: AnyFields, record: Record, fold: Fold, added: RecordedEvent
) -> None:
    later = data.draw(later_events(any_fields=any_fields, record=record))
    row = fold(READ_MODEL, [added, *later])[INSTANCE,]

    told = msgspec.json.decode(msgspec.json.encode(dict(row)))

    assert service_instances.facts_of(told) == service_instances.facts_of(row)
