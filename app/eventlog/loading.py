"""Loads of many callers in one statement: those that come while one runs go together next."""

import asyncio
import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from app.eventlog import asking, connections, mapper, reading, snapshot
from domain import events

_AT_ONCE = 2  # statements; a long history holds up nobody but its own batch
_BATCH = 512

# A snapshot comes as an event without a topic, before the events that follow it. As `asking` says,
# the statement is planned once.
_LOAD = b"""
    WITH wanted AS (
        SELECT w.id, coalesce(s.originator_version, w.version) AS version, s.fold, s.state
        FROM unnest((SELECT $1::uuid[]), (SELECT $2::bigint[])) AS w (id, version)
        LEFT JOIN LATERAL (
            SELECT originator_version, fold, state FROM ledger.snapshots
            WHERE originator_id = w.id LIMIT 1
        ) AS s ON s.originator_version > w.version AND s.fold = ANY ((SELECT $3::text[])::text[])
            AND (SELECT $4::bigint) IS NULL
    )
    SELECT least(head.position, (SELECT $4::bigint)), greatest(clock_timestamp(), head.recorded_at),
        (SELECT max(number) FROM ledger.epochs),
        e.id, e.version, e.topic, e.fold, e.state
    FROM ledger.head LEFT JOIN LATERAL (
        SELECT id, version, NULL AS topic, fold, state::text FROM wanted WHERE fold IS NOT NULL
        UNION ALL
        SELECT id, originator_version, topic, NULL, following.state::text
        FROM wanted CROSS JOIN LATERAL (
            SELECT originator_version, topic, state FROM ledger.events
            WHERE originator_id = wanted.id AND originator_version > wanted.version
                AND position <= coalesce((SELECT $4::bigint), head.position)
            ORDER BY originator_version OFFSET 0
        ) AS following
    ) AS e ON true
    ORDER BY e.id, e.version
"""


class History(NamedTuple):
    """The events of some aggregates, as of a position; those without events are absent.

    They are those that follow the snapshot, if there is one.
    """

    events: Mapping[UUID, tuple[events.Event, ...]]
    now: datetime
    position: int
    epoch: int
    """The number of the log's last one."""
    snapshots: Mapping[UUID, snapshot.Snapshot]


@dataclass(frozen=True)
class Wanted:
    """Whose history a caller wants, and what it needs no more.

    Of an aggregate with a known version, only what follows; of others, what follows a snapshot
    by one of the folds.
    """

    known: Mapping[UUID, int]
    """The version by id, 0 if none is known."""
    folds: frozenset[str]


@dataclass(frozen=True)
class _Found:
    """Rows of the log by aggregate; each caller makes events of its own."""

    rows: Mapping[UUID, Sequence[tuple[Any, ...]]]
    snapshots: Mapping[UUID, snapshot.Snapshot]
    now: datetime
    position: int
    epoch: int


@dataclass(frozen=True)
class _Pending:
    wanted: Wanted
    outcome: asyncio.Future[_Found]


class Loader:
    """Asks the database for all that callers wait for; never waits for company itself."""

    def __init__(self, *, pool: connections.Connections, event_mapper: mapper.EventMapper) -> None:
        self._pool = pool
        self._mapper = event_mapper
        self._waiting: collections.deque[_Pending] = collections.deque()
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, wanted: Wanted) -> History:
        """Return the aggregates as they are now. Raises LogUnavailableError."""
        outcome: asyncio.Future[_Found] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Pending(wanted, outcome))
        if self._running < _AT_ONCE:
            self._running += 1
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._history(wanted, await outcome)

    async def load_until(self, wanted: Wanted, *, until: int) -> History:
        """Return the aggregates as they were at a position. Raises LogUnavailableError."""
        return self._history(wanted, await self._ask(wanted, until=until))

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._take()
        finally:
            # At once: a callback of the task would run later, and who comes meanwhile be forgotten.
            self._running -= 1

    async def _take(self) -> None:
        count = min(_BATCH, len(self._waiting))
        taken = [self._waiting.popleft() for _ in range(count)]
        # What one caller takes from a snapshot, one without folds reads from the first event.
        batches: dict[frozenset[str], list[_Pending]] = {}
        for pending in taken:
            if not pending.outcome.done():
                batches.setdefault(pending.wanted.folds, []).append(pending)
        for folds, batch in batches.items():
            await self._answer(batch, folds)

    async def _answer(self, batch: Sequence[_Pending], folds: frozenset[str]) -> None:
        known: dict[UUID, int] = {}
        for pending in batch:
            for key, version in pending.wanted.known.items():
                known[key] = min(version, known.get(key, version))
        try:
            found = await self._ask(Wanted(known, folds), until=None)
        except Exception as error:  # noqa: BLE001  the callers get it
            for pending in batch:
                if not pending.outcome.done():
                    pending.outcome.set_exception(error)
            return
        for pending in batch:
            if not pending.outcome.done():
                pending.outcome.set_result(found)

    async def _ask(self, wanted: Wanted, *, until: int | None) -> _Found:
        values = [
            asking.array(map(str, wanted.known)),
            asking.array(map(str, wanted.known.values())),
            asking.array(wanted.folds),
            None if until is None else str(until),
        ]
        rows = await self._pool.ask(_LOAD, values)
        found: dict[UUID, list[tuple[Any, ...]]] = {}
        snapshots: dict[UUID, snapshot.Snapshot] = {}
        for _, _, _, id_, version, topic, fold, state in rows:
            if id_ is None:
                continue  # of none of the aggregates is there anything
            key = UUID(id_)
            if fold is not None:
                snapshots[key] = snapshot.Snapshot(
                    originator_id=key, originator_version=int(version), fold=fold, state=state
                )
            else:
                found.setdefault(key, []).append((key, int(version), topic, state))
        position, now, epoch = rows[0][:3]
        at = datetime.fromisoformat(now).astimezone(UTC)
        return _Found(found, snapshots, at, int(position), int(epoch))

    def _history(self, wanted: Wanted, found: _Found) -> History:
        """Return what one caller wanted: others may know less of an aggregate."""
        snapshots: dict[UUID, snapshot.Snapshot] = {}
        recorded: dict[UUID, tuple[events.Event, ...]] = {}
        for key, version in wanted.known.items():
            taken = found.snapshots.get(key)
            if taken is not None and taken.originator_version > version:
                snapshots[key] = taken
            rows = [row for row in found.rows.get(key, ()) if row[1] > version]
            if rows:
                recorded[key] = tuple(reading.event(self._mapper, *row) for row in rows)
        return History(recorded, found.now, found.position, found.epoch, snapshots)
