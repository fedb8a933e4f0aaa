import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import errors

from app.eventlog import command, connections

pytestmark = pytest.mark.anyio

PURPOSE = "a test of connections"
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"


@contextlib.asynccontextmanager
async def opened(database: str, **options: float) -> AsyncIterator[connections.Pool]:
    async with connections.Pool(
        psycopg.conninfo.make_conninfo(database, application_name=PURPOSE),
        min_size=1,
        max_size=int(options.pop("max_size", 2)),
        reconnect_timeout=0.5,
        kwargs={"autocommit": True},
        open=False,
        **options,
    ) as pool:
        yield pool


async def pid_of(connection: connections.Connection) -> int:
    return connection.info.backend_pid


async def pid_of_the_server(connection: connections.Connection) -> int:
    [(pid,)] = await (await connection.execute("SELECT pg_backend_pid()")).fetchall()
    return int(pid)


async def test_connection_that_came_back_is_lent_next(database: str) -> None:
    async with opened(database) as pool:
        ways = connections.Connections(pool=pool, seconds=5)

        assert len({await ways.run(pid_of) for _ in range(connections._LOOKED_AT // 2)}) == 1


async def test_whoever_waits_comes_before_those_who_ask_again_and_again(database: str) -> None:
    async with opened(database, max_size=1) as pool:
        ways = connections.Connections(pool=pool, seconds=5)
        has_one, is_over = asyncio.Event(), asyncio.Event()

        async def again_and_again() -> None:
            while not is_over.is_set():
                await ways.run(pid_after_a_moment)

        async def pid_after_a_moment(connection: connections.Connection) -> int:
            has_one.set()
            await connection.execute("SELECT 1")
            return await pid_of(connection)

        greedy = [asyncio.create_task(again_and_again()) for _ in range(3)]
        await has_one.wait()
        async with asyncio.timeout(5):
            pids = [await ways.run(pid_of) for _ in range(20)]
        is_over.set()
        await asyncio.gather(*greedy)

    assert len(set(pids)) == 1


async def test_closed_pool_leaves_no_connection(database: str) -> None:
    async with opened(database) as pool:
        ways = connections.Connections(pool=pool, seconds=5)
        await asyncio.gather(*(ways.run(pid_of) for _ in range(10)))
        async with pool.connection() as kept:
            pass

    assert kept.closed
    with pytest.raises(command.LogUnavailableError):
        await ways.run(pid_of)
    async with asyncio.timeout(10), await psycopg.AsyncConnection.connect(database) as other:
        while (await (await other.execute(OTHERS, [PURPOSE])).fetchone()) != (0,):
            await other.execute("SELECT pg_sleep(0.01)")


async def test_connection_that_comes_back_to_a_closed_pool_is_closed(database: str) -> None:
    async with opened(database) as pool:
        connection = await pool.getconn()
    await pool.putconn(connection)

    assert connection.closed


async def test_old_connection_is_replaced_in_time(database: str) -> None:
    async with opened(database, max_lifetime=0.01) as pool:
        ways = connections.Connections(pool=pool, seconds=5)

        async def pid_after_a_moment(connection: connections.Connection) -> int:
            await connection.execute("SELECT 1")
            return await pid_of(connection)

        first = await ways.run(pid_after_a_moment)
        async with asyncio.timeout(10):
            while await ways.run(pid_after_a_moment) == first:
                pass


async def test_no_pause_follows_sessions_that_were_ended(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def end_all() -> None:
        async with await psycopg.AsyncConnection.connect(database) as other:
            await other.execute(END, [PURPOSE])

    async with opened(database, max_size=4) as pool:
        ways = connections.Connections(pool=pool, seconds=5)
        lent = [await pool.getconn() for _ in range(4)]
        for connection in lent:
            await pool.putconn(connection)
        monkeypatch.setattr(connections, "pause", lambda _: 60.0)
        await end_all()

        async with asyncio.timeout(10):
            assert await ways.run(pid_of_the_server) not in {each.info.backend_pid for each in lent}


async def test_pause_follows_what_another_session_would_meet_as_well(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[int] = []

    async def write(connection: connections.Connection) -> int:
        if len(paused) < 2:
            raise errors.ReadOnlySqlTransaction
        return await pid_of(connection)

    def pause(failures: int) -> float:
        paused.append(failures)
        return 0.0

    async with opened(database) as pool:
        monkeypatch.setattr(connections, "pause", pause)
        await connections.Connections(pool=pool, seconds=5).run(write)

    assert paused == [0, 1]


async def test_transaction_left_open_is_neither_kept_nor_lent(database: str) -> None:
    async with opened(database, max_size=1) as pool:
        async with pool.connection() as connection:
            await connection.execute("CREATE TABLE left_open ()")
        connection = await pool.getconn()
        await connection.execute("BEGIN")
        await connection.execute("DROP TABLE left_open")
        await pool.putconn(connection)

        async with pool.connection() as another:
            await another.execute("SELECT FROM left_open")


async def test_work_is_committed_or_undone(database: str) -> None:
    async with connections.Pool(database, min_size=1, open=False) as pool:
        ways = connections.Connections(pool=pool, seconds=5)

        async def make(connection: connections.Connection) -> None:
            await connection.execute("CREATE TABLE made (number int)")
            await connection.execute("INSERT INTO made VALUES (1)")

        async def fail(connection: connections.Connection) -> None:
            await connection.execute("INSERT INTO made VALUES (2)")
            raise ArithmeticError

        await ways.run(make)
        with pytest.raises(ArithmeticError):
            await ways.run(fail)

        async with await psycopg.AsyncConnection.connect(database) as other:
            assert await (await other.execute("SELECT number FROM made")).fetchall() == [(1,)]
