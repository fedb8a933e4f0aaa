import asyncio
import os
import signal
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import errors, pq

from app.eventlog import asking, command, connections

pytestmark = pytest.mark.anyio

PID = b"SELECT pg_backend_pid()"
SLEEP = b"SELECT 1 FROM pg_sleep(60)"
ASLEEP = "SELECT pid FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
ODD = (
    *("", " ", "NULL", "null", "{", "}", "{}", ",", "a,b", '"', '""', "\\", "\\\\", '\\"', "'"),
    *("it's", "line\nline", "\ttab\r", "ü ß 漢字 🜚", "$1 %s %(x)s", "\\x00", "e\u0301", "\x7f\x01"),
)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[connections.Pool]:
    async with connections.Pool(
        database,
        min_size=1,
        max_size=2,
        reconnect_timeout=0.5,
        kwargs={"autocommit": True},
        open=False,
    ) as opened:
        yield opened


async def until_asleep(pool: connections.Pool, pid: int) -> None:
    async with asyncio.timeout(10), pool.connection() as connection:
        while not await (await connection.execute(ASLEEP, [pid])).fetchall():
            await connection.execute("SELECT pg_sleep(0.01)")


async def pid_of(connection: connections.Connection) -> int:
    [(pid,)] = await asking.ask(connection, PID)
    return int(pid)


async def test_any_text_is_asked_and_answered_as_it_is(pool: connections.Pool) -> None:
    statement = b"SELECT given, $2::text FROM unnest((SELECT $1::text[])) AS given"

    async with pool.connection() as connection:
        assert await asking.ask(connection, statement, [asking.array(ODD), None]) == [
            (each, None) for each in ODD
        ]
        assert await asking.ask(connection, statement, [asking.array([]), None]) == []
        for each in ODD:
            assert await asking.ask(connection, b"SELECT $1::text", [each]) == [(each,)]


async def test_text_that_would_end_early_is_refused(pool: connections.Pool) -> None:
    async with pool.connection() as connection:
        with pytest.raises(psycopg.DataError, match="NUL"):
            await asking.ask(connection, b"SELECT $1::text", ["a\0b"])

        assert await asking.ask(connection, b"SELECT $1::text", ["ab"]) == [("ab",)]


async def test_more_than_a_socket_takes_at_once_goes_and_comes(pool: connections.Pool) -> None:
    long = "ü" * 5_000_000

    async with pool.connection() as connection:
        assert await asking.ask(connection, b"SELECT $1::text", [long]) == [(long,)]


async def test_error_of_the_server_is_said_as_psycopg_says_it(pool: connections.Pool) -> None:
    async with pool.connection() as connection:
        for _ in range(2):
            with pytest.raises(errors.DivisionByZero, match="division by zero"):
                await asking.ask(connection, b"SELECT 1 / $1::int", ["0"])
        with pytest.raises(errors.UndefinedTable):
            await asking.ask(connection, b"SELECT 1 FROM nothing")

        assert await asking.ask(connection, b"SELECT 1 / $1::int", ["1"]) == [("1",)]


async def test_statement_is_prepared_once_for_a_connection_and_goes_with_it(
    pool: connections.Pool,
) -> None:
    names = b"SELECT count(*) FROM pg_prepared_statements WHERE statement = $1"

    async with pool.connection() as connection:
        for _ in range(3):
            await asking.ask(connection, PID)
        assert await asking.ask(connection, names, [PID.decode()]) == [("1",)]
        await connection.close()
    async with pool.connection() as connection:
        assert await asking.ask(connection, names, [PID.decode()]) == [("0",)]


async def test_of_many_statements_the_newest_stay_prepared(pool: connections.Pool) -> None:
    async with pool.connection() as connection:
        for number in range(asking._MOST + 10):
            await asking.ask(connection, b"SELECT %d" % number)
        [(kept,)] = await asking.ask(connection, b"SELECT count(*) FROM pg_prepared_statements")
        assert int(kept) == asking._MOST

        assert await asking.ask(connection, b"SELECT 0") == [("0",)]


async def test_table_with_another_column_is_read_anew(pool: connections.Pool) -> None:
    statement = b"SELECT * FROM changing"
    async with pool.connection() as connection:
        await connection.execute("CREATE TABLE changing AS SELECT 1 AS a")
        assert await asking.ask(connection, statement) == [("1",)]
        await connection.execute("ALTER TABLE changing ADD b int DEFAULT 2")

        with pytest.raises(errors.FeatureNotSupported):
            await asking.ask(connection, statement)
        assert await asking.ask(connection, statement) == [("1", "2")]


async def test_whoever_is_cancelled_stops_the_statement_and_leaves_the_connection(
    pool: connections.Pool,
) -> None:
    async with pool.connection() as connection:
        pid = await pid_of(connection)
        for _ in range(3):
            asked = asyncio.create_task(asking.ask(connection, SLEEP))
            await until_asleep(pool, pid)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked

            assert await pid_of(connection) == pid


async def test_cancellation_at_any_moment_is_heeded_and_leaves_a_usable_connection(
    pool: connections.Pool,
) -> None:
    ways = connections.Connections(pool=pool, seconds=5)

    async def work(connection: connections.Connection) -> list[asking.Row]:
        return await asking.ask(connection, b"SELECT $1::text", ["a"])

    for turns in range(60):
        asked = asyncio.create_task(ways.run(work))
        for _ in range(turns):
            await asyncio.sleep(0)
        if asked.cancel():
            with pytest.raises(asyncio.CancelledError):
                await asked

        assert await ways.run(work) == [("a",)]


async def test_second_cancellation_ends_the_wait_for_a_server_that_does_not_stop(
    pool: connections.Pool,
) -> None:
    async with pool.connection() as connection:
        pid = await pid_of(connection)
        asked = asyncio.create_task(asking.ask(connection, SLEEP))
        await until_asleep(pool, pid)
        os.kill(pid, signal.SIGSTOP)
        try:
            asked.cancel()
            await asyncio.wait([asked], timeout=0.1)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
        finally:
            os.kill(pid, signal.SIGCONT)

        assert connection.pgconn.status == pq.ConnStatus.BAD


async def test_lost_connection_is_replaced_and_asked_again(pool: connections.Pool) -> None:
    ways = connections.Connections(pool=pool, seconds=10)
    pids: list[int] = []
    is_known = asyncio.Event()

    async def work(connection: connections.Connection) -> list[asking.Row]:
        pids.append(await pid_of(connection))
        is_known.set()
        return await asking.ask(connection, SLEEP if len(pids) == 1 else b"SELECT 1")

    asked = asyncio.create_task(ways.run(work))
    await is_known.wait()
    await until_asleep(pool, pids[0])
    async with pool.connection() as connection:
        await connection.execute("SELECT pg_terminate_backend(%s)", [pids[0]])

    assert await asked == [("1",)]
    assert len(set(pids)) == 2


async def test_connection_that_was_lost_while_idle_is_replaced(pool: connections.Pool) -> None:
    ways = connections.Connections(pool=pool, seconds=10)
    before = await ways.run(pid_of)
    async with await psycopg.AsyncConnection.connect(ways.conninfo) as other:
        await other.execute("SELECT pg_terminate_backend(%s, 10000)", [before])

    assert await ways.run(pid_of) != before


async def test_statement_that_takes_too_long_is_given_up(pool: connections.Pool) -> None:
    ways = connections.Connections(pool=pool, seconds=0.3)

    async def work(connection: connections.Connection) -> list[asking.Row]:
        return await asking.ask(connection, SLEEP)

    with pytest.raises(command.LogUnavailableError):
        await ways.run(work)


async def test_silent_session_is_cut_and_another_answers(pool: connections.Pool) -> None:
    ways = connections.Connections(pool=pool, seconds=2)
    silent: list[int] = []

    async def work(connection: connections.Connection) -> int:
        pid = await pid_of(connection)
        if not silent:
            silent.append(pid)
            os.kill(pid, signal.SIGSTOP)
        return await pid_of(connection)

    try:
        assert await ways.run(work) not in silent
    finally:
        os.kill(silent[0], signal.SIGCONT)
