"""Loads of many callers in one statement: those that come while one runs go together next."""

import asyncio
import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.eventlog import connections, mapper, reading
from domain import events

_AT_ONCE = 2  # statements; a long history holds up nobody but its own batch
_BATCH = 512

_LOAD = """
    SELECT least(head.position, %(until)s::bigint), greatest(clock_timestamp(), head.recorded_at),
        e.originator_id, e.originator_version, e.topic, e.state::text
    FROM ledger.head LEFT JOIN ledger.events AS e
        ON e.originator_id = ANY(%(ids)s) AND e.position <= coalesce(%(until)s, head.position)
    ORDER BY e.originator_id, e.originator_version
"""


@dataclass(frozen=True)
class History:
    """The events of some aggregates, as of a position; those without events are absent."""

    events: Mapping[UUID, tuple[events.Event, ...]]
    now: datetime
    position: int


@dataclass(frozen=True)
class _Found:
    """Rows of the log by aggregate; each caller makes events of its own."""

    rows: Mapping[UUID, Sequence[tuple[Any, ...]]]
    now: datetime
    position: int


@dataclass(frozen=True)
class _Pending:
    ids: tuple[UUID, ...]
    outcome: asyncio.Future[_Found]


class Loader:
    """Asks the database for all that callers wait for; never waits for company itself."""

    def __init__(self, *, pool: connections.Connections, event_mapper: mapper.EventMapper) -> None:
        self._pool = pool
        self._mapper = event_mapper
        self._waiting: collections.deque[_Pending] = collections.deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, ids: Sequence[UUID]) -> History:
        """Return the aggregates as they are now. Raises LogUnavailableError."""
        outcome: asyncio.Future[_Found] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Pending(tuple(ids), outcome))
        if len(self._tasks) < _AT_ONCE:
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._history(ids, await outcome)

    async def load_until(self, ids: Sequence[UUID], *, until: int) -> History:
        """Return the aggregates as they were at a position. Raises LogUnavailableError."""
        return self._history(ids, await self._ask(ids, until=until))

    async def _drain(self) -> None:
        while self._waiting:
            count = min(_BATCH, len(self._waiting))
            taken = [self._waiting.popleft() for _ in range(count)]
            batch = [pending for pending in taken if not pending.outcome.done()]
            if batch:
                await self._answer(batch)

    async def _answer(self, batch: Sequence[_Pending]) -> None:
        ids = dict.fromkeys(key for pending in batch for key in pending.ids)
        try:
            found = await self._ask(list(ids), until=None)
        except Exception as error:  # noqa: BLE001  the callers get it
            for pending in batch:
                if not pending.outcome.done():
                    pending.outcome.set_exception(error)
            return
        for pending in batch:
            if not pending.outcome.done():
                pending.outcome.set_result(found)

    async def _ask(self, ids: Sequence[UUID], *, until: int | None) -> _Found:
        async def work(connection: connections.Connection) -> list[tuple[Any, ...]]:
            values = {"ids": list(ids), "until": until}
            return await (await connection.execute(_LOAD, values)).fetchall()

        rows = await self._pool.run(work)
        found: dict[UUID, list[tuple[Any, ...]]] = {}
        for row in rows:
            if row[2] is not None:
                found.setdefault(row[2], []).append(row[2:])
        position, now = rows[0][:2]
        return _Found(rows=found, now=now.astimezone(UTC), position=position)

    def _history(self, ids: Sequence[UUID], found: _Found) -> History:
        return History(
            events={
                key: tuple(reading.event(self._mapper, *row) for row in found.rows[key])
                for key in ids
                if key in found.rows
            },
            now=found.now,
            position=found.position,
        )
