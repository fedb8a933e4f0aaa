"""A log that was restored to an older point, and what a consumer of the lost one is told."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import psycopg
import psycopg_pool
import pytest
from psycopg import conninfo

from app import embedded
from app.eventlog import command, epochs, log, rebuild
from domain import events
from projections import projection

pytestmark = pytest.mark.anyio

NewCommand = Callable[..., command.Command]
NewMember = Callable[..., events.MemberAdded]
Add = Callable[..., Awaitable[None]]


def dumped(server: embedded.Address, name: str) -> bytes:
    done = subprocess.run(
        [embedded.program("pg_dump"), "--format=custom", f"--dbname={server.dsn(name)}"],
        check=True,
        capture_output=True,
    )
    return done.stdout


def restored(server: embedded.Address, name: str, dump: bytes) -> None:
    """Restore into a database in the place of the old one.

    Processes that live on meet it whole, as when another server takes the address over.
    """
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_restored TEMPLATE template0")
        subprocess.run(
            [
                embedded.program("pg_restore"),
                "--single-transaction",
                f"--dbname={server.dsn(f'{name}_restored')}",
            ],
            check=True,
            input=dump,
            capture_output=True,
        )
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.execute(f"ALTER DATABASE {name}_restored RENAME TO {name}")


@contextlib.asynccontextmanager
async def opened(
    database: str, tallies: projection.Projection, entries: projection.Journal
) -> AsyncIterator[log.EventLog]:
    models: dict[str, Any] = {"projections": [tallies], "journals": [entries]}
    async with psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False) as pool:
        await rebuild.ensure_tables(pool=pool, **models)
        async with log.EventLog(pool=pool, policies=lambda _: [], **models) as event_log:
            await event_log.begin()
            yield event_log


@pytest.fixture
def add(new_command: NewCommand, member: NewMember) -> Add:
    """Return what appends events, from the first to the last version of one aggregate."""
    aggregate_id = uuid4()

    async def add(event_log: log.EventLog, first: int, last: int, subject: str = "ada") -> None:
        for version in range(first, last + 1):
            await event_log.append(
                command=new_command(), events=[member(aggregate_id, version, subject=subject)]
            )

    return add


async def test_consumer_of_a_lost_log_is_told(
    server: embedded.Address,
    database: str,
    add: Add,
    tallies: projection.Projection,
    entries: projection.Journal,
) -> None:
    name = str(conninfo.conninfo_to_dict(database)["dbname"])

    async with opened(database, tallies, entries) as event_log:
        await add(event_log, 1, 3)
        dump = await asyncio.to_thread(dumped, server, name)
        await add(event_log, 4, 5)
        assert event_log.place(5) == "5"
    await asyncio.to_thread(restored, server, name, dump)

    async with opened(database, tallies, entries) as event_log:
        assert await event_log.head() == 3
        seen, ahead = epochs.Place.parsed("3"), epochs.Place.parsed("5")
        assert await event_log.common_position(seen) == 3
        with pytest.raises(epochs.LogDivergedError) as told_at_once:
            await event_log.common_position(ahead)
        await add(event_log, 4, 9)
        with pytest.raises(epochs.LogDivergedError) as told_later:
            await event_log.common_position(ahead)
        own = epochs.Place.parsed(event_log.place(5))
        assert await event_log.common_position(own) == 5
        assert await event_log.common_position(seen) == 3

    assert own.text.endswith(".5")
    assert told_at_once.value.last_common == told_later.value.last_common == "3"
    assert told_later.value.code == "LOG_DIVERGED"
    assert "the same up to 3" in str(told_later.value)


async def test_consumer_of_a_log_between_two_restores_is_told(
    server: embedded.Address,
    database: str,
    add: Add,
    tallies: projection.Projection,
    entries: projection.Journal,
) -> None:
    """One dump is restored twice: both logs begin an epoch at the same position."""
    name = str(conninfo.conninfo_to_dict(database)["dbname"])
    async with opened(database, tallies, entries) as event_log:
        await add(event_log, 1, 3)
        dump = await asyncio.to_thread(dumped, server, name)
    await asyncio.to_thread(restored, server, name, dump)

    async with (
        opened(database, tallies, entries) as between,
        contextlib.aclosing(between.follow(after=3)) as followed,
        asyncio.timeout(20),
    ):
        await add(between, 4, 5, "of the log between")
        heard = [(await anext(followed)).position for _ in range(2)]
        lost = epochs.Place.parsed(between.place(5))
        await asyncio.to_thread(restored, server, name, dump)
        async with opened(database, tallies, entries) as event_log:
            await add(event_log, 4, 9)
            with pytest.raises(epochs.LogDivergedError) as reader_told:
                await event_log.common_position(lost)
            with pytest.raises(epochs.LogDivergedError) as follower_told:
                await anext(followed)
            own = epochs.Place.parsed(event_log.place(5))
            assert await event_log.common_position(own) == 5
            assert await event_log.common_position(epochs.Place.parsed("3")) == 3

    assert heard == [4, 5]
    assert own.text != lost.text
    assert reader_told.value.last_common is None
    assert "begin anew" in str(reader_told.value)
    assert follower_told.value.last_common == "3"


async def test_follower_is_told_that_the_log_was_replaced(
    server: embedded.Address,
    database: str,
    add: Add,
    tallies: projection.Projection,
    entries: projection.Journal,
) -> None:
    """A process that lives on meets another server, on which others write already."""
    name = str(conninfo.conninfo_to_dict(database)["dbname"])
    told, heard_the_lost = [], asyncio.Event()

    async def follow(event_log: log.EventLog, *, after: int, until: int) -> None:
        async with contextlib.aclosing(event_log.follow(after=after)) as followed:
            async for each in followed:
                told.append((each.position, each.event.subject))
                if each.position == 5:
                    heard_the_lost.set()
                if each.position == until:
                    return

    async with opened(database, tallies, entries) as survivor:
        await add(survivor, 1, 3)
        dump = await asyncio.to_thread(dumped, server, name)
        following = asyncio.create_task(follow(survivor, after=3, until=9))
        await add(survivor, 4, 5, "of the lost log")
        async with asyncio.timeout(20):
            await heard_the_lost.wait()
        await asyncio.to_thread(restored, server, name, dump)
        async with opened(database, tallies, entries) as other:
            await add(other, 4, 9, "grace")

            async with asyncio.timeout(20):
                with pytest.raises(epochs.LogDivergedError) as diverged:
                    await following
                told.clear()
                await follow(survivor, after=3, until=9)

    assert diverged.value.last_common == "3"
    assert told == [(position, "grace") for position in range(4, 10)]


async def test_restart_begins_no_epoch(
    database: str,
    new_command: NewCommand,
    member: NewMember,
    tallies: projection.Projection,
    entries: projection.Journal,
) -> None:
    async with opened(database, tallies, entries) as event_log:
        await event_log.append(command=new_command(), events=[member(uuid4(), 1)])

    async with opened(database, tallies, entries) as event_log:
        assert event_log.place(1) == "1"


async def test_position_that_no_epoch_gave_is_refused(event_log: log.EventLog) -> None:
    for text in ("7", "2.1"):
        with pytest.raises(epochs.LogDivergedError):
            await event_log.common_position(epochs.Place.parsed(text))


@pytest.mark.parametrize("text", ["", "-1", "1.", ".1", "0.1", "1.2.3", "٣", "9223372036854775808"])
def test_other_text_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match="no position"):
        epochs.Place.parsed(text)
