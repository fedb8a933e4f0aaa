"""message-db: its SQL functions over an asynchronous pool, the same aggregates before them."""

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import psycopg_pool
from eventsourcing import persistence

from app.application import unit_of_work
from app.eventlog import mapper
from domain import events, service_instance
from tests.benchmarks import node
from tests.benchmarks.contenders import contender, stock

# Without the extension pgcrypto: what it is wanted for, PostgreSQL has built in.
_FILES = ("schema/*.sql", "tables/*.sql", "types/*.sql", "functions/*.sql", "indexes/*.sql")
_PATIENCE = 120.0  # seconds
_READ = "SELECT type, position, data FROM get_stream_messages(%s, 0, -1)"
_WRITE = "SELECT write_message(%s::varchar, %s::varchar, %s::varchar, %s::jsonb, NULL, %s::bigint)"


class MessageDb:
    """Load, decide, commit; no read model, no command record."""

    name = "message-db"

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._mapper = mapper.EventMapper()
        self._pool: psycopg_pool.AsyncConnectionPool[Any]
        self._ids: list[UUID] = []
        self._accepted = 0

    def prepare(self, conninfo: str) -> None:
        """Install the functions and add services."""
        self._runner.run(self._prepare(conninfo))

    def run(self, *, callers: int, seconds: float) -> contender.Measured:
        """Attach and detach."""
        return self._runner.run(self._run(callers, seconds))

    def finish(self) -> None:
        """Count the messages."""
        self._runner.run(self._finish())
        self._runner.close()

    async def _prepare(self, conninfo: str) -> None:
        place = node.installed() / "@eventide" / "message-db" / "database"
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
            for pattern in _FILES:
                for file in _ordered(place, pattern):
                    await connection.execute(file.read_bytes())
        self._pool = psycopg_pool.AsyncConnectionPool(
            conninfo,
            min_size=contender.MOST_CALLERS,
            timeout=_PATIENCE,
            kwargs={"autocommit": True, "options": "-c search_path=message_store"},
            open=False,
        )
        await self._pool.open(wait=True)
        made = [stock.added() for _ in range(contender.SERVICES)]
        await asyncio.gather(*(self._write(added, expected=-1) for added in made))
        self._ids = [added.id for added in made]

    async def _run(self, callers: int, seconds: float) -> contender.Measured:
        latencies: list[float] = []
        end = time.perf_counter() + seconds

        async def caller(first: int) -> None:
            mine = itertools.cycle(self._ids[first::callers])
            while (begin := time.perf_counter()) < end:
                found = await self._load(next(mine))
                stock.toggle(found)
                await self._write(found, expected=found.version - 2)
                latencies.append(time.perf_counter() - begin)

        begin = time.perf_counter()
        await asyncio.gather(*map(caller, range(callers)))
        self._accepted += len(latencies)
        return contender.Measured(latencies, time.perf_counter() - begin)

    async def _load(self, aggregate_id: UUID) -> service_instance.ServiceInstance:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_READ, [_stream(aggregate_id)])).fetchall()
        found = unit_of_work.replay(
            self._mapper.to_domain_event(
                persistence.StoredEvent(aggregate_id, position + 1, topic, data.encode())
            )
            for topic, position, data in rows
        )
        assert isinstance(found, service_instance.ServiceInstance)
        return found

    async def _write(self, changed: service_instance.ServiceInstance, *, expected: int) -> None:
        async with self._pool.connection() as connection:
            for event in changed.collect_events():
                assert isinstance(event, events.Event)
                stored = self._mapper.to_stored_event(event)
                await connection.execute(
                    _WRITE,
                    [
                        str(uuid4()),
                        _stream(changed.id),
                        stored.topic,
                        stored.state.decode(),
                        expected,
                    ],
                )

    async def _finish(self) -> None:
        async with self._pool.connection() as connection:
            rows = await connection.execute("SELECT count(*) FROM messages")
            [(recorded,)] = await rows.fetchall()
        assert recorded == contender.SERVICES + self._accepted
        await self._pool.close()


def _ordered(place: Path, pattern: str) -> list[Path]:
    """Return files in an order in which each finds what it needs."""
    return sorted(place.glob(pattern))


def _stream(aggregate_id: UUID) -> str:
    return f"service-{aggregate_id}"
