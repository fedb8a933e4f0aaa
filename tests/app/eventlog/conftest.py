import dataclasses
import enum
import types
import typing
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec
import psycopg_pool
import pytest

from app.eventlog import command, log, rebuild, task
from domain import events, values
from projections import projection

MOMENT = datetime(2026, 3, 1, 9, 30, 15, 250000, tzinfo=UTC)
OPEN = {"min_size": 1, "max_size": 8, "open": False, "reconnect_timeout": 0.5}


class Tallies:
    """A sample read model: a row per aggregate, with a column of every odd type."""

    version: int = 1
    folds: ClassVar[projection.EventClasses] = frozenset({events.MemberAdded, events.MemberRemoved})
    table: ClassVar[projection.Table] = projection.Table(
        name="tallies",
        columns=(
            projection.Column("id", "uuid"),
            projection.Column("part", "int4"),
            projection.Column("count", "int4"),
            projection.Column("subjects", "text[]"),
            projection.Column("versions", "int4[]"),
            projection.Column("details", "jsonb", is_nullable=True),
            projection.Column("seen_at", "timestamptz"),
            projection.Column("position", "int8"),
        ),
        primary_key=("id", "part"),
        indexes=(
            projection.Index(("seen_at", "id")),
            projection.Index(("count",), where="count > 1"),
        ),
    )

    def keys(self, recorded: projection.RecordedEvent) -> Sequence[projection.Key]:
        return [(recorded.event.originator_id, part) for part in (1, 2)]

    def fold(
        self, row: projection.Row | None, recorded: projection.RecordedEvent, key: projection.Key
    ) -> projection.Row | None:
        if row is not None and row["position"] >= recorded.position:
            return row
        event = recorded.event
        if isinstance(event, events.MemberRemoved):
            return None
        assert isinstance(event, events.MemberAdded)
        if event.subject == "exploding":
            raise ArithmeticError("exploding")
        return {
            "id": key[0],
            "part": key[1],
            "count": (row["count"] if row else 0) + 1,
            "subjects": (*(row["subjects"] if row else ()), event.subject),
            "versions": (*(row["versions"] if row else ()), event.originator_version),
            "details": {"last": event.originator_id, "role": event.role, "parts": (key[1],)},
            "seen_at": recorded.recorded_at,
            "position": recorded.position,
        }


class Entries:
    """A sample journal of the tallies."""

    version: int = 1
    table: ClassVar[projection.Table] = projection.Table(
        name="tally_entries",
        columns=(
            projection.Column("id", "uuid"),
            projection.Column("part", "int4"),
            projection.Column("count_before", "int4", is_nullable=True),
            projection.Column("count", "int4"),
            projection.Column("position", "int8"),
        ),
        primary_key=("id", "part", "position"),
    )

    def __init__(self, *, follows: projection.Projection) -> None:
        self.follows = follows

    def entry(
        self,
        before: projection.Row | None,
        after: projection.Row,
        recorded: projection.RecordedEvent,
    ) -> projection.Row:
        return {
            "id": after["id"],
            "part": after["part"],
            "count_before": before["count"] if before else None,
            "count": after["count"],
            "position": recorded.position,
        }


@pytest.fixture
def tallies() -> Tallies:
    return Tallies()


@pytest.fixture
def entries(tallies: Tallies) -> Entries:
    return Entries(follows=tallies)


def greet(recorded: projection.RecordedEvent) -> Sequence[task.Task]:
    if not isinstance(recorded.event, events.MemberAdded):
        return []
    later = MOMENT if recorded.event.role is values.MemberRole.VIEWER else None
    return [task.Task("greet", {"subject": recorded.event.subject}, later)]


@pytest.fixture
async def pool(database: str) -> AsyncIterator[psycopg_pool.AsyncConnectionPool[Any]]:
    async with psycopg_pool.AsyncConnectionPool(database, **OPEN) as opened:
        yield opened


@pytest.fixture
async def event_log(
    pool: psycopg_pool.AsyncConnectionPool[Any], tallies: Tallies, entries: Entries
) -> AsyncIterator[log.EventLog]:
    """A log with the sample read models, and a task for each member."""
    models: dict[str, Any] = {"projections": [tallies], "journals": [entries]}
    await rebuild.ensure_tables(pool=pool, **models)
    async with log.EventLog(pool=pool, policies=greet, **models) as opened:
        yield opened


@pytest.fixture
def new_command() -> Callable[..., command.Command]:
    def new(**changes: object) -> command.Command:
        made = command.Command(
            id=uuid4(), fingerprint="add a member", actor="ada", correlation_id=uuid4()
        )
        return msgspec.structs.replace(made, **changes)

    return new


@pytest.fixture
def member() -> Callable[..., events.MemberAdded]:
    def added(aggregate_id: UUID, version: int, **changes: object) -> events.MemberAdded:
        fields = {"subject": "grace", "role": values.MemberRole.DEVELOPER} | changes
        return events.MemberAdded(
            originator_id=aggregate_id, originator_version=version, timestamp=MOMENT, **fields
        )

    return added


@pytest.fixture
def sample() -> Callable[[type[events.Event]], events.Event]:
    """Builds an event of a class, with the same plausible values each time."""

    def event(event_class: type[events.Event]) -> events.Event:
        return typing.cast("events.Event", _built(event_class))

    return event


def _built(data_class: type[Any]) -> object:
    hints = typing.get_type_hints(data_class)
    if issubclass(data_class, events.Event):
        hints["originator_id"] = UUID  # the library leaves it generic
    values_by_name = {
        field.name: _value(field.name, hints[field.name])
        for field in dataclasses.fields(data_class)
    }
    if "originator_version" in values_by_name:
        values_by_name["originator_version"] = 1
    return data_class(**values_by_name)


def _value(name: str, kind: type[Any]) -> object:
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return _value(name, arguments[0])
    if typing.get_origin(kind) is tuple:
        return (_value(name, arguments[0]),)
    if typing.get_origin(kind) is dict:
        return {"zone": "b", "nested": {"size": 2, "tags": ["é", None]}, "on": True}
    if dataclasses.is_dataclass(kind):
        return _built(typing.cast("type[Any]", kind))
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    known = {
        UUID: UUID(int=len(name)),
        datetime: MOMENT,
        int: 3,
        bool: True,
        str: name.replace("_", "-"),
    }
    return known[kind]
