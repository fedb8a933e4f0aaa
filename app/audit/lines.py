"""An event as a line: a CloudEvent 1.0.2 in canonical JSON (RFC 8785), made by the database.

Members are sorted and strings are escaped as little as JSON allows, so that the same event gives
the same bytes for ever; `data` is the state as it was written. Only 32 bits of a CloudEvents
number are safe everywhere, therefore `position` is text. A line never changes: what a later
version records beside it must find another member, and only events after that have it.
"""

import uuid
from typing import LiteralString

from app.graphql.compiler import positions

PLACE: LiteralString = positions.PLACE.format(position="e.position")
"""The position of a row `e` as clients see it: what was once recorded keeps it for ever."""

COVERED = frozenset({"actor", "causation_id", "correlation_id", "reason", "traceparent"})
"""What of an event's metadata its line holds: all that there is."""

LINE: LiteralString = f"""(
    '{{"actor":' || coalesce(to_json(e.metadata ->> 'actor')::text, '""')
    || coalesce(',"causationid":' || to_json(e.metadata ->> 'causation_id')::text, '')
    || ',"commandid":"' || e.command_id || '"'
    || coalesce(',"correlationid":' || to_json(e.metadata ->> 'correlation_id')::text, '')
    || ',"data":' || e.state::text || ',"datacontenttype":"application/json","id":"' || e.event_id
    || '","position":"' || {PLACE} || '"'
    || coalesce(',"reason":' || to_json(e.metadata ->> 'reason')::text, '')
    || ',"source":"urn:servicebook:log:' || log.id || '","specversion":"1.0","subject":"'
    || e.originator_id || '","subjectversion":' || e.originator_version || ',"time":"'
    || to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"'
    || coalesce(',"traceparent":' || to_json(e.metadata ->> 'traceparent')::text, '')
    || ',"type":' || to_json(e.topic)::text || '}}'
)"""
"""The line of a row `e` of ledger.events, beside the row `log` of audit.log."""

LEAF: LiteralString = f"sha256('\\x00'::bytea || convert_to({LINE}, 'UTF8'))"
"""Its leaf hash."""


def origin(log_id: uuid.UUID) -> str:
    """Return the name that checkpoints of a log begin with."""
    return f"servicebook/{log_id}"


def source(log_id: uuid.UUID) -> str:
    """Return the source that all lines of a log have."""
    return f"urn:servicebook:log:{log_id}"
