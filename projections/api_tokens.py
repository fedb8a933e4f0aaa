"""API tokens and how far they reach; neither the tokens nor their hashes."""

from collections.abc import Sequence
from typing import ClassVar

from domain import events
from projections.projection import (
    Column,
    EventClasses,
    Foldable,
    Index,
    Key,
    Row,
    Table,
    holds,
)


class ApiTokens:
    """A row per token, also once it was revoked."""

    version: ClassVar[int] = 1
    folds: ClassVar[EventClasses] = frozenset({events.TokenCreated, events.TokenRevoked})
    table: ClassVar[Table] = Table(
        name="api_tokens",
        columns=(
            Column("id", "uuid"),
            Column("subject", "text"),
            Column("name", "text"),
            Column("roles", "text[]"),
            Column("projects", "uuid[]"),
            Column("created_at", "timestamptz"),
            Column("created_by", "text"),
            Column("expires_at", "timestamptz", is_nullable=True),
            Column("revoked_at", "timestamptz", is_nullable=True),
            Column("position", "int8"),
        ),
        primary_key=("id",),
        indexes=(Index(("created_at", "id")),),
    )

    def keys(self, recorded: Foldable) -> Sequence[Key]:
        """Return the token whose event it is."""
        match recorded.event:
            case events.TokenCreated() | events.TokenRevoked() as event:
                return [(event.originator_id,)]
            case _:
                return []

    def fold(self, row: Row | None, recorded: Foldable, key: Key) -> Row | None:
        """Return the token after the event."""
        if holds(row, recorded):
            return row
        match recorded.event:
            case events.TokenCreated() as event:
                return {
                    "id": key[0],
                    "subject": event.subject,
                    "name": event.name,
                    "roles": list(event.roles),
                    "projects": list(event.projects),
                    "created_at": recorded.recorded_at,
                    "created_by": recorded.actor,
                    "expires_at": event.expires_at,
                    "revoked_at": None,
                    "position": recorded.position,
                }
            case events.TokenRevoked():
                return {
                    **(row or {}),
                    "revoked_at": recorded.recorded_at,
                    "position": recorded.position,
                }
            case _:
                return row
