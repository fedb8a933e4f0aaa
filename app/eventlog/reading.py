"""The statements that read events, and events from their rows."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any
from uuid import UUID

import msgspec

from app.eventlog import connections, mapper
from domain import events
from projections import projection

COLUMNS = """
    position, originator_id, originator_version, topic, state::text,
    event_id, command_id, metadata::text, recorded_at
"""
"""What `recorded` takes."""

OUTLINE = """
    position, originator_id, originator_version, topic, state::text, metadata ->> 'actor',
    metadata ->> 'correlation_id', metadata ->> 'reason', recorded_at
"""
"""What `Outlines` takes."""

_ALL = (
    f"SELECT {COLUMNS} FROM ledger.events "  # noqa: S608  nothing from outside
    "WHERE position > %(after)s ORDER BY position LIMIT %(limit)s"
)
_OF_ONE = (
    f"SELECT {COLUMNS} FROM ledger.events "  # noqa: S608  likewise
    "WHERE originator_id = %(originator_id)s AND position > %(after)s "
    "ORDER BY originator_version LIMIT %(limit)s"
)
_OF_SOME = (
    f"SELECT {COLUMNS} FROM ledger.events "  # noqa: S608  likewise
    "WHERE originator_id = ANY(%(originator_ids)s) AND position > %(after)s "
    "AND position <= %(until)s ORDER BY position LIMIT %(limit)s"
)


class _Origin(msgspec.Struct):
    """What the metadata of an event tell."""

    actor: str
    correlation_id: UUID
    causation_id: UUID | None = None
    reason: str | None = None
    traceparent: str | None = None


_origins = msgspec.json.Decoder(_Origin)


async def read(
    connection: connections.Connection,
    *,
    event_mapper: mapper.EventMapper,
    after: int,
    limit: int,
    originator_id: UUID | None = None,
) -> list[projection.RecordedEvent]:
    """Return the next events after a position, of one aggregate or of all."""
    statement = _ALL if originator_id is None else _OF_ONE
    values = {"after": after, "limit": limit, "originator_id": originator_id}
    rows = await (await connection.execute(statement, values)).fetchall()
    return [recorded(event_mapper, row) for row in rows]


async def read_some(
    connection: connections.Connection,
    *,
    event_mapper: mapper.EventMapper,
    originator_ids: Sequence[UUID],
    after: int,
    until: int,
    limit: int,
) -> list[projection.RecordedEvent]:
    """Return the next events of some aggregates between two positions."""
    values = {
        "originator_ids": list(originator_ids),
        "after": after,
        "until": until,
        "limit": limit,
    }
    rows = await (await connection.execute(_OF_SOME, values)).fetchall()
    return [recorded(event_mapper, row) for row in rows]


async def head(connection: connections.Connection) -> int:
    """Return the last position, 0 if there is none."""
    [(position,)] = await (await connection.execute("SELECT position FROM ledger.head")).fetchall()
    return int(position)


def event(
    event_mapper: mapper.EventMapper, originator_id: UUID, version: int, topic: str, state: str
) -> events.Event:
    """Return the event that four columns of a row hold."""
    return event_mapper.event(
        originator_id=originator_id, originator_version=version, topic=topic, state=state
    )


def recorded(event_mapper: mapper.EventMapper, row: tuple[Any, ...]) -> projection.RecordedEvent:
    """Return the event of a row."""
    position, originator_id, version, topic, state, event_id, command_id, metadata, at = row
    origin = _origins.decode(metadata)
    return projection.RecordedEvent(
        position,
        event(event_mapper, originator_id, version, topic, state),
        event_id,
        command_id,
        origin.actor,
        origin.correlation_id,
        origin.causation_id,
        origin.reason,
        at.astimezone(UTC),
        origin.traceparent,
    )


class Outlines:
    """What folds need of events, of rows aggregate by aggregate.

    Events of an aggregate share the object that is its id: whoever compares ids, as in the key
    of a row, sees at once that they are the same.
    """

    def __init__(self, event_mapper: mapper.EventMapper) -> None:
        self._event = event_mapper.event
        self._last = UUID(int=0)

    def of(self, row: tuple[Any, ...]) -> projection.Outline:
        """Return what folds need of the event of a row."""
        position, originator_id, version, topic, state, actor, correlation_id, reason, at = row
        if originator_id.int == self._last.int:
            originator_id = self._last
        else:
            self._last = originator_id
        return projection.Outline(
            position,
            self._event(
                originator_id=originator_id, originator_version=version, topic=topic, state=state
            ),
            actor,
            correlation_id,
            reason,
            at.astimezone(UTC),
        )
