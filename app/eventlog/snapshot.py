"""Snapshots as the log stores them: it does not know what they hold."""

import asyncio
import logging
from dataclasses import dataclass
from uuid import UUID

from app.eventlog import asking, command, connections

_PAUSE = 0.1  # seconds; aggregates that are used alike are due together
_logger = logging.getLogger(__name__)

# A crash of the server may take back the last ones: whoever misses them reads events, and commits
# of commands need not wait for theirs. One belongs to the event that its command recorded: a log
# that was restored meanwhile may hold another one in that place, or none. As `asking` says, it is
# planned once.
_STORE = b"""
    INSERT INTO ledger.snapshots AS s (originator_id, originator_version, fold, state)
    SELECT given.id, given.version, given.fold, given.state::json
    FROM (SELECT set_config('synchronous_commit', 'off', true)) AS hurry,
        unnest(
            (SELECT $1::uuid[]), (SELECT $2::bigint[]), (SELECT $3::text[]), (SELECT $4::text[]),
            (SELECT $5::uuid[])
        ) AS given (id, version, fold, state, command_id)
    CROSS JOIN LATERAL (
        SELECT FROM ledger.events AS e
        WHERE e.originator_id = given.id AND e.originator_version = given.version
            AND e.command_id = given.command_id
        LIMIT 1
    ) AS recorded
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


class Snapshots:
    """Stores snapshots, those that come meanwhile together; nobody waits for them."""

    def __init__(self, *, pool: connections.Connections) -> None:
        self._pool = pool
        self._waiting: dict[UUID, tuple[Snapshot, UUID]] = {}
        self._task: asyncio.Task[None] | None = None

    def put(self, taken: Snapshot, *, command_id: UUID) -> None:
        """Store a snapshot soon, in the place of an older one, beside the command's event."""
        self._waiting[taken.originator_id] = (taken, command_id)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())

    async def aclose(self) -> None:
        """Store what waits, unless the log cannot be reached."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _drain(self) -> None:
        while self._waiting:
            await asyncio.sleep(_PAUSE)
            # In order: processes that store the same ones wait for each other, not in a circle.
            some = [self._waiting[key] for key in sorted(self._waiting)]
            self._waiting.clear()
            try:
                await self._store(some)
            except command.LogUnavailableError:
                _logger.warning("%d snapshots were not stored: the log is not there", len(some))
            except Exception:
                _logger.exception("cannot store %d snapshots", len(some))

    async def _store(self, some: list[tuple[Snapshot, UUID]]) -> None:
        await self._pool.ask(
            _STORE,
            [
                asking.array([str(taken.originator_id) for taken, _ in some]),
                asking.array([str(taken.originator_version) for taken, _ in some]),
                asking.array([taken.fold for taken, _ in some]),
                asking.array([taken.state for taken, _ in some]),
                asking.array([str(command_id) for _, command_id in some]),
            ],
        )
