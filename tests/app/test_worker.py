"""The worker goes on, whatever happens, until it is told to end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import procrastinate
import psycopg
import psycopg_pool
import pytest
from psycopg import conninfo, sql

from app import cancellation
from app.eventlog.task import QUEUE
from app.work import clock, worker

pytestmark = pytest.mark.anyio

Pool = psycopg_pool.AsyncConnectionPool[Any]
PATIENCE = 20.0


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
