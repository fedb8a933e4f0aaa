"""The worker goes on, whatever happens, until it is told to end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import procrastinate
import psycopg
import psycopg_pool
import pytest
from psycopg import conninfo, sql

from app import cancellation, embedded
from app.eventlog.task import QUEUE
from app.work import clock, worker

pytestmark = pytest.mark.anyio

Pool = psycopg_pool.AsyncConnectionPool[Any]
PATIENCE = 20.0
ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


class Breaking(procrastinate.App):
    """A queue whose worker breaks at first, by what nobody foresaw."""

    has_broken = False

    async def run_worker_async(self, **options: Any) -> None:  # noqa: ANN401  as they come
        if not self.has_broken:
            self.has_broken = True
            raise ArithmeticError("unforeseen")
        await super().run_worker_async(**options)


class BreakingClock(clock.Clock):
    """A clock that cannot be set at first."""

    def __init__(self) -> None:
        self.is_set = asyncio.Event()
        self._count = 0
        super().__init__()

    def set(self, now: datetime) -> None:
        super().set(now)
        self._count += 1
        if self._count == 2:  # it sets itself before
            raise ArithmeticError("unforeseen")
        if self._count == 3:
            self.is_set.set()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with psycopg_pool.AsyncConnectionPool(
        database, min_size=1, kwargs={"autocommit": True}, open=False
    ) as opened:
        yield opened


def queue(database: str, kind: type[procrastinate.App] = procrastinate.App) -> procrastinate.App:
    connector = procrastinate.PsycopgConnector(conninfo=database, timeout=1.0)
    return kind(connector=connector)


async def test_a_worker_that_broke_begins_anew(database: str, pool: Pool) -> None:
    tasks = queue(database, Breaking)

    async with tasks.open_async(), running(tasks, pool, clock.Clock()):
        await until_at_work(tasks, pool)


async def test_looking_for_tasks_left_behind_goes_on(database: str, pool: Pool) -> None:
    unset = BreakingClock()
    tasks = queue(database)

    async with tasks.open_async(), running(tasks, pool, unset), asyncio.timeout(PATIENCE):
        await unset.is_set.wait()


async def test_a_worker_ends_though_its_database_is_gone(database: str, pool: Pool) -> None:
    tasks = queue(database)

    async with tasks.open_async(), running(tasks, pool, clock.Clock()) as task:
        await until_at_work(tasks, pool)
        drop(database)

        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE)

        assert task.cancelled()


async def test_a_database_that_is_gone_is_told_whole_once(
    server: embedded.Address,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def told() -> list[tuple[str, bool]]:
        return [
            (each.getMessage(), bool(each.exc_info))
            for each in caplog.records
            if each.name == worker.__name__
        ]

    for pause in ("_SWEEP", "_PAUSE"):
        monkeypatch.setattr(worker, pause, 0.01)
    monkeypatch.setattr(worker, "_REMIND", 0.5)
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    gate = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    connector = procrastinate.PsycopgConnector(conninfo=database, timeout=0.1)
    queue = procrastinate.App(connector=connector)
    async with (
        queue.open_async(),
        psycopg_pool.AsyncConnectionPool(
            database, min_size=1, open=False, timeout=0.1, reconnect_timeout=0.5
        ) as pool,
        await psycopg.AsyncConnection.connect(server.dsn("postgres"), autocommit=True) as other,
    ):
        working = asyncio.create_task(
            worker.run(queue=queue, pool=pool, clock=clock.Clock(), concurrency=1)
        )
        try:
            await other.execute(gate.format(sql.Identifier(str(name)), sql.SQL("false")))
            await other.execute(ENDED, [name])
            await until(lambda: len(told()) == 3)
            await other.execute(gate.format(sql.Identifier(str(name)), sql.SQL("true")))

            await until(lambda: "the queue can be looked at again" in dict(told()))
        finally:
            await cancellation.end(working)

    traced = [is_traced for _, is_traced in told()]
    assert traced[:3] == [True, False, False]


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(
    tasks: procrastinate.App, pool: Pool, times: clock.Clock
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(worker.run(queue=tasks, pool=pool, clock=times, concurrency=1))
    try:
        yield task
    finally:
        await cancellation.end(task, grace=worker.TO_END)


async def until_at_work(tasks: procrastinate.App, pool: Pool) -> None:
    """Have a task done, to the end: what is done is deleted."""

    @tasks.task(queue=QUEUE)
    async def nothing() -> None:
        pass

    await nothing.defer_async()
    async with asyncio.timeout(PATIENCE), pool.connection() as connection:
        while await (await connection.execute("SELECT 1 FROM procrastinate_jobs")).fetchone():
            pass


def drop(database: str) -> None:
    name = str(conninfo.conninfo_to_dict(database)["dbname"])
    other = conninfo.make_conninfo(database, dbname="postgres")
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
