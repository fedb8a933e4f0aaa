import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import psycopg
import psycopg_pool
import pytest

from app.eventlog import command, connections, epochs, hints, log, tail
from domain import events
from projections import projection
from tests.app.eventlog import gate

pytestmark = pytest.mark.anyio

NewCommand = Callable[..., command.Command]
NewMember = Callable[..., events.MemberAdded]

LISTENERS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'servicebook listener'"
)


async def take(event_log: log.EventLog, *, after: int, count: int) -> list[int]:
    positions: list[int] = []
    async with contextlib.aclosing(event_log.follow(after=after)) as followed:
        async for recorded in followed:
            positions.append(recorded.position)
            if len(positions) == count:
                break
    return positions


async def write(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, count: int
) -> None:
    aggregate_id = uuid4()
    for version in range(1, count + 1):
        await event_log.append(command=new_command(), events=[member(aggregate_id, version)])


async def listeners(database: str) -> list[int]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        return [pid for (pid,) in await (await connection.execute(LISTENERS)).fetchall()]


async def until(database: str, count: int) -> list[int]:
    async with asyncio.timeout(10):
        while len(found := await listeners(database)) != count:
            pass
    return found


async def test_follower_catches_up_and_goes_on_without_hole_or_repeat(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember
) -> None:
    await write(event_log, new_command, member, 30)
    late = asyncio.create_task(take(event_log, after=10, count=20 + 8 * 25))
    early = asyncio.create_task(take(event_log, after=0, count=30 + 8 * 25))

    await asyncio.gather(*(write(event_log, new_command, member, 25) for _ in range(8)))

    async with asyncio.timeout(20):
        assert await early == list(range(1, 231))
        assert await late == list(range(11, 231))


async def test_follower_hears_of_another_process(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
) -> None:
    def nothing(_: projection.RecordedEvent) -> Sequence[Any]:
        return []

    follower = asyncio.create_task(take(event_log, after=0, count=1))
    await until(database, 1)
    async with log.EventLog(pool=pool, projections=[], journals=[], policies=nothing) as other:
        await write(other, new_command, member, 1)

    async with asyncio.timeout(5):
        assert await follower == [1]


async def test_followers_share_one_listener_and_leave_none(
    event_log: log.EventLog, database: str
) -> None:
    followers = [asyncio.create_task(take(event_log, after=0, count=1)) for _ in range(10)]
    await until(database, 1)

    for follower in followers:
        follower.cancel()
    await asyncio.wait(followers)

    assert await until(database, 0) == []
    assert all(follower.cancelled() for follower in followers)


async def test_follower_survives_a_lost_connection(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    follower = asyncio.create_task(take(event_log, after=0, count=4))
    [lost] = await until(database, 1)
    await write(event_log, new_command, member, 2)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    await write(event_log, new_command, member, 2)

    async with asyncio.timeout(10):
        assert await follower == [1, 2, 3, 4]
    assert lost not in await listeners(database)


async def test_listener_gives_up_a_server_that_falls_silent_as_it_begins(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "_SECONDS", 0.2)
    silencer = gate.Gate(database)

    async with asyncio.timeout(10), silencer.serving() as reached:
        falling_silent = gate.FallingSilent(conninfo=reached, gate=silencer)
        async with hints.Hints(pool=falling_silent).listening() as news:
            await news.wait()
            await falling_silent.has_opened_again.wait()


async def test_a_listener_that_died_is_replaced_for_the_next_follower(
    pool: psycopg_pool.AsyncConnectionPool[Any], database: str
) -> None:
    class Failing(connections.Connections):
        has_failed = False

        async def open(self, *, purpose: str, options: str = "") -> connections.Connection:
            if not self.has_failed:
                self.has_failed = True
                raise ArithmeticError("unforeseen")
            return await super().open(purpose=purpose, options=options)

    followers = hints.Hints(pool=Failing(pool=pool, seconds=5.0))
    async with followers.listening():
        assert followers._listener is not None
        with pytest.raises(ArithmeticError):
            await followers._listener

        async with followers.listening():
            await until(database, 1)


async def test_follower_sees_what_came_while_it_looked(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember
) -> None:
    """The tail learns the head, with an event that the follower's own look just missed."""
    has_missed, is_known = asyncio.Event(), asyncio.Event()

    async def read(after: int) -> Sequence[projection.RecordedEvent]:
        found = await event_log.read(after=after, limit=10)
        if not has_missed.is_set():
            has_missed.set()
            await is_known.wait()
        return found

    async def head() -> int:
        await has_missed.wait()
        await write(event_log, new_command, member, 1)
        asyncio.get_running_loop().call_later(0.1, is_known.set)
        return await event_log.head()

    newest = tail.Tail(hints=event_log.hints, epochs=epochs.Epochs(), read=read, head=head)
    followed: Any = newest.follow(tail.Cursor(0), wanted=lambda _: True)
    async with asyncio.timeout(5), contextlib.aclosing(followed):
        assert (await anext(followed)).position == 1
