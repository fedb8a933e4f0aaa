from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

import projections
from domain import events, values
from projections.projection import RecordedEvent

Record = Callable[..., RecordedEvent]

INSTANCE = UUID(int=0xC)
DEPLOYMENT = UUID(int=0xD)
(JOURNAL,) = projections.JOURNALS
ROW = {
    "state": "ATTACHED",
    "plan": "small",
    "prefix": "DEFAULT",
    "applied": True,
    "deployment_id": None,
    "was_requested": True,
}


def test_entry_tells_what_happened_when_by_whom(record: Record) -> None:
    attached = record(
        events.ServiceAttached,
        of=INSTANCE,
        position=4,
        deployment_id=DEPLOYMENT,
        revision=3,
        prefix="DEFAULT",
        variable_names=("DEFAULT_DATABASE_DSN", "DATABASE_URL"),
        secret_version=1,
    )

    entry = JOURNAL.entry(ROW, ROW, attached)

    assert entry == {
        "service_instance_id": INSTANCE,
        "version": 4,
        "position": 4,
        "event": "ServiceAttached",
        "state": "ATTACHED",
        "sentence": "Attached by a deployment (revision 3): "
        "DEFAULT_DATABASE_DSN and DATABASE_URL now point to it.",
        "actor": "ada",
        "reason": None,
        "recorded_at": datetime(2026, 11, 24, 12, 4, tzinfo=UTC),
        "deployment_id": DEPLOYMENT,
        "details": {
            "deployment_id": DEPLOYMENT,
            "revision": 3,
            "prefix": "DEFAULT",
            "variable_names": ("DEFAULT_DATABASE_DSN", "DATABASE_URL"),
            "secret_version": 1,
        },
        "correlation_id": UUID(int=204),
    }
    assert set(entry) == {column.name for column in JOURNAL.table.columns}


def test_details_of_a_first_event_are_its_own_fields_as_json(record: Record) -> None:
    fields = {
        "project_id": UUID(int=0xA),
        "environment_id": UUID(int=0xB),
        "environment_name": "live",
        "offering": "postgres",
        "kind": values.ServiceKind.DATABASE,
        "plan": "small",
        "region": "local",
        "parameters": {"extensions": ["postgis"]},
        "prefix": "DEFAULT",
        "variable_names": ("DEFAULT_DATABASE_DSN",),
        "protected": True,
    }

    entry = JOURNAL.entry(None, ROW, record(events.ServiceAdded, of=INSTANCE, **fields))

    assert msgspec.json.decode(msgspec.json.encode(entry["details"])) == fields | {
        "project_id": str(UUID(int=0xA)),
        "environment_id": str(UUID(int=0xB)),
        "kind": "DATABASE",
        "variable_names": ["DEFAULT_DATABASE_DSN"],
    }


def test_times_in_details_are_text(record: Record) -> None:
    requested = record(
        events.ServiceRemovalRequested,
        of=INSTANCE,
        scheduled_for=datetime(2026, 12, 1, tzinfo=UTC),
    )

    entry = JOURNAL.entry(ROW, ROW, requested)

    assert msgspec.to_builtins(entry["details"]) == {"scheduled_for": "2026-12-01T00:00:00Z"}


def test_reason_of_the_event_comes_before_that_of_the_command(record: Record) -> None:
    revealed = record(
        events.ServiceCredentialsRevealed,
        of=INSTANCE,
        asked_because="the auditor said so",
        reason="restore a backup",
        secret_version=1,
    )

    assert JOURNAL.entry(ROW, ROW, revealed)["reason"] == "restore a backup"


def test_reason_of_the_command_is_told_where_the_event_has_none(record: Record) -> None:
    requested = record(events.ServiceDetachmentRequested, of=INSTANCE, asked_because="moved")

    assert JOURNAL.entry(ROW, ROW, requested)["reason"] == "moved"


def test_other_events_are_not_told(record: Record) -> None:
    created = record(events.ProjectCreated, of=INSTANCE, name="shop")

    with pytest.raises(TypeError, match="ProjectCreated is no event of a service instance"):
        JOURNAL.entry(ROW, ROW, created)
