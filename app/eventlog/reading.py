"""The statements that read events, and events from their rows."""

from datetime import UTC
from typing import Any
from uuid import UUID

from eventsourcing import persistence

from app.eventlog import connections, mapper
from domain import events
from projections import projection

_ALL = """
    SELECT position, originator_id, originator_version, topic, state::text,
        event_id, command_id, metadata, recorded_at
    FROM ledger.events WHERE position > %(after)s ORDER BY position LIMIT %(limit)s
"""
_OF_ONE = """
    SELECT position, originator_id, originator_version, topic, state::text,
        event_id, command_id, metadata, recorded_at
    FROM ledger.events WHERE originator_id = %(originator_id)s AND position > %(after)s
    ORDER BY originator_version LIMIT %(limit)s
"""


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
    return [_recorded(event_mapper, row) for row in rows]


async def head(connection: connections.Connection) -> int:
    """Return the last position, 0 if there is none."""
    [(position,)] = await (await connection.execute("SELECT position FROM ledger.head")).fetchall()
    return int(position)


def event(
    event_mapper: mapper.EventMapper, originator_id: UUID, version: int, topic: str, state: str
) -> events.Event:
    """Return the event that four columns of a row hold."""
    stored = persistence.StoredEvent(originator_id, version, topic, state.encode())
    return event_mapper.to_domain_event(stored)


def _recorded(event_mapper: mapper.EventMapper, row: tuple[Any, ...]) -> projection.RecordedEvent:
    position, originator_id, version, topic, state, event_id, command_id, metadata, at = row
    causation_id = metadata.get("causation_id")
    return projection.RecordedEvent(
        position=position,
        event=event(event_mapper, originator_id, version, topic, state),
        event_id=event_id,
        command_id=command_id,
        actor=metadata["actor"],
        correlation_id=UUID(metadata["correlation_id"]),
        causation_id=None if causation_id is None else UUID(causation_id),
        reason=metadata.get("reason"),
        recorded_at=at.astimezone(UTC),
        traceparent=metadata.get("traceparent"),
    )
