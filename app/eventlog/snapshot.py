"""Snapshots as the log stores them: it does not know what they hold."""

from dataclasses import dataclass
from uuid import UUID

from app.eventlog import connections

_STORE = """
    INSERT INTO ledger.snapshots AS s (originator_id, originator_version, fold, state)
    VALUES (%s, %s, %s, %s)
    ON CONFLICT (originator_id) DO UPDATE
    SET originator_version = excluded.originator_version, fold = excluded.fold,
        state = excluded.state, taken_at = excluded.taken_at
    WHERE s.originator_version < excluded.originator_version OR s.fold <> excluded.fold
"""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state of an aggregate at a version, by the fold of that name."""

    originator_id: UUID
    originator_version: int
    fold: str
    state: str


async def store(connection: connections.Connection, taken: Snapshot) -> None:
    """Store a snapshot in the place of an older one."""
    await connection.execute(
        _STORE, [taken.originator_id, taken.originator_version, taken.fold, taken.state]
    )
