"""Which events: what the filters mean, for GraphQL and for the feed alike, each with its index."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

EVENTS: LiteralString = "{there}.topic = ANY({value}::text[])"
SUBJECT: LiteralString = "{there}.originator_id = {value}::uuid"
PROJECT: LiteralString = (
    "{there}.originator_id IN (SELECT {value}::uuid"
    " UNION ALL SELECT id FROM read.environments WHERE project_id = {value}::uuid"
    " UNION ALL SELECT id FROM read.service_instances WHERE project_id = {value}::uuid"
    " UNION ALL SELECT id FROM read.deployments WHERE project_id = {value}::uuid)"
)
ENVIRONMENT: LiteralString = (
    "{there}.originator_id IN (SELECT {value}::uuid"
    " UNION ALL SELECT id FROM read.service_instances WHERE environment_id = {value}::uuid"
    " UNION ALL SELECT id FROM read.deployments WHERE environment_id = {value}::uuid)"
)
ACTOR: LiteralString = "{there}.metadata ->> 'actor' = {value}::text"
CORRELATION: LiteralString = "({there}.metadata ->> 'correlation_id')::uuid = {value}::uuid"
# A position of a log that was lost is refused: LOG_DIVERGED.
AFTER: LiteralString = "{there}.position > ledger.common_position({value}::text)"
UNTIL: LiteralString = "{there}.position <= {value}::bigint"
# Times rise with positions: the index finds the first one, and the rest is a range of positions.
RECORDED_FROM: LiteralString = (
    "{there}.position >= (SELECT position FROM ledger.events"
    " WHERE recorded_at >= {value}::timestamptz ORDER BY recorded_at LIMIT 1)"
)
RECORDED_BEFORE: LiteralString = (
    "{there}.position <= (SELECT position FROM ledger.events"
    " WHERE recorded_at < {value}::timestamptz ORDER BY recorded_at DESC LIMIT 1)"
)

_TEMPLATES: Mapping[str, LiteralString] = MappingProxyType(
    {
        "events": EVENTS,
        "subject": SUBJECT,
        "project": PROJECT,
        "environment": ENVIRONMENT,
        "actor": ACTOR,
        "correlation_id": CORRELATION,
        "recorded_from": RECORDED_FROM,
        "recorded_before": RECORDED_BEFORE,
    }
)
THERE = sql.Identifier("e")
"""What the rows of ledger.events are called."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """Events that fulfil everything given."""

    events: tuple[str, ...] | None = None
    subject: UUID | None = None
    project: UUID | None = None
    environment: UUID | None = None
    actor: str | None = None
    correlation_id: UUID | None = None
    recorded_from: datetime | None = None
    recorded_before: datetime | None = None

    def conditions(self) -> tuple[sql.Composable, dict[str, Any]]:
        """Return the condition on the rows `e` of ledger.events, and its parameters."""
        values = {
            name: list(value) if isinstance(value, tuple) else value
            for name in _TEMPLATES
            if (value := getattr(self, name)) is not None
        }
        every = [
            sql.SQL(_TEMPLATES[name]).format(there=THERE, value=sql.Placeholder(name))
            for name in values
        ]
        return sql.SQL(" AND ").join([sql.SQL("true"), *every]), values
