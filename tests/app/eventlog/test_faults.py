import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import psycopg_pool
import pytest

from app import database as databases
from app.eventlog import command, connections, log, outage, transaction
from domain import events
from projections import projection
from tests.app.eventlog import gate as gates
from tests.hazards import full_disk

pytestmark = pytest.mark.anyio

NewCommand = Callable[..., command.Command]
NewMember = Callable[..., events.MemberAdded]

KILL = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def no_tasks(_: projection.RecordedEvent) -> Sequence[Any]:
    return []


async def write_stream(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    is_over: Callable[[int], bool],
) -> dict[UUID, command.Receipt]:
    """Record commands on one aggregate until told, and return the acknowledged ones."""
    aggregate_id, acknowledged = uuid4(), {}
    for version in itertools.count(1):
        asked = new_command()
        acknowledged[asked.id] = await event_log.append(
            command=asked, events=[member(aggregate_id, version)]
        )
        if is_over(version):
            break
    return acknowledged


async def recorded_events(database: str) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute(
            "SELECT position, recorded_at, command_id FROM ledger.events ORDER BY position"
        )
        return await cursor.fetchall()


async def test_positions_have_no_gap_and_time_rises_under_many_writers(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
) -> None:
    async with log.EventLog(
        pool=pool, projections=[], journals=[], policies=no_tasks
    ) as other_process:
        writers = [event_log, other_process] * 8

        await asyncio.gather(
            *(
                write_stream(each, new_command, member, lambda count: count == 25)
                for each in writers
            )
        )

    rows = await recorded_events(database)
    assert [row[0] for row in rows] == list(range(1, 16 * 25 + 1))
    assert all(before[1] < after[1] for before, after in itertools.pairwise(rows))


async def test_two_writers_of_one_version_cannot_both_win(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
) -> None:
    aggregate_id = uuid4()
    async with log.EventLog(pool=pool, projections=[], journals=[], policies=no_tasks) as other:
        outcomes = await asyncio.gather(
            *(
                each.append(command=new_command(), events=[member(aggregate_id, 1)])
                for each in [event_log, other] * 5
            ),
            return_exceptions=True,
        )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == (
        ["Receipt"] + ["VersionConflictError"] * 9
    )


async def test_who_freezes_in_the_middle_of_an_append_stops_nobody_for_long(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    async with await psycopg.AsyncConnection.connect(databases.mortal(database)) as frozen:
        await frozen.execute("SELECT position FROM ledger.head FOR UPDATE")

        await event_log.append(command=new_command(), events=[member(uuid4(), 1)])

        # The sleeper finds out when it wakes, and begins anew.
        with pytest.raises(connections.LOST):
            await frozen.execute("SELECT 1")


async def test_killed_backends_lose_and_double_nothing(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    kills = 0

    async def kill() -> None:
        nonlocal kills
        while True:
            await asyncio.sleep(0.1)  # long enough for a batch to get through
            async with await psycopg.AsyncConnection.connect(
                database, autocommit=True
            ) as connection:
                [(killed,)] = await (await connection.execute(KILL)).fetchall()
                kills += killed

    killer = asyncio.create_task(kill())
    try:
        written = await asyncio.gather(
            *(write_stream(event_log, new_command, member, lambda _: kills >= 20) for _ in range(8))
        )
    finally:
        killer.cancel()
        await asyncio.wait([killer])

    acknowledged = {
        command_id: receipt.first_position
        for stream in written
        for command_id, receipt in stream.items()
    }
    rows = await recorded_events(database)
    assert [row[0] for row in rows] == list(range(1, len(acknowledged) + 1))
    assert {row[2]: row[0] for row in rows} == acknowledged


@pytest.mark.parametrize("is_cut", [True, False], ids=["by a cut", "by a repeat"])
async def test_what_was_sent_in_vain_is_written_in_order_of_arrival(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    *,
    is_cut: bool,
) -> None:
    writer, repeated, ids = event_log._writer, new_command(), [uuid4() for _ in range(4)]
    await event_log.append(command=repeated, events=[member(key, 1) for key in ids])

    def append(asked: command.Command, key: UUID) -> asyncio.Task[command.Receipt]:
        return asyncio.create_task(event_log.append(command=asked, events=[member(key, 2)]))

    async with await psycopg.AsyncConnection.connect(database) as other:
        await other.execute("SELECT 1 FROM ledger.head FOR UPDATE")
        appends = [append(repeated, ids[0]), append(new_command(), ids[1])]
        for on_the_way, key in enumerate(ids[2:], start=1):
            async with asyncio.timeout(5):
                while writer._count_sent() < on_the_way:  # noqa: ASYNC110  it tells nobody
                    await asyncio.sleep(0)
            appends.append(append(new_command(), key))
        assert writer._connection is not None
        if is_cut:
            process = writer._connection.info.backend_pid
            await other.execute("SELECT pg_terminate_backend(%s)", [process])
        await other.rollback()
        receipts = await asyncio.gather(*appends)

    assert [receipt.first_position for receipt in receipts] == [1, 5, 6, 7]


async def test_silent_server_is_given_up_in_time_and_found_again(
    database: str, new_command: NewCommand, member: NewMember
) -> None:
    gate = gates.Gate(database)
    async with (
        gate.serving() as reached,
        psycopg_pool.AsyncConnectionPool(
            reached, min_size=1, max_size=2, open=False, reconnect_timeout=0.5
        ) as pool,
        log.EventLog(
            pool=pool, projections=[], journals=[], policies=no_tasks, seconds=0.5
        ) as event_log,
    ):
        asked, aggregate_id = new_command(), uuid4()
        await event_log.append(command=new_command(), events=[member(aggregate_id, 1)])
        gate.is_open.clear()
        started = time.monotonic()

        with pytest.raises(command.LogUnavailableError):
            await event_log.append(command=asked, events=[member(aggregate_id, 2)])
        with pytest.raises(command.LogUnavailableError):
            await event_log.load(aggregate_id)
        took = time.monotonic() - started
        gate.is_open.set()
        receipt = await _until_available(event_log, asked, member(aggregate_id, 2))

        assert took < 4
        assert (receipt.first_position, receipt.last_position) == (2, 2)
        assert len((await event_log.load(aggregate_id)).events[aggregate_id]) == 2


async def test_silent_session_is_replaced_within_the_deadline(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    new_command: NewCommand,
    member: NewMember,
) -> None:
    aggregate_id = uuid4()
    async with log.EventLog(
        pool=pool, projections=[], journals=[], policies=no_tasks, seconds=6
    ) as event_log:
        await event_log.append(command=new_command(), events=[member(aggregate_id, 1)])
        assert event_log._writer._connection is not None
        process = event_log._writer._connection.info.backend_pid
        os.kill(process, signal.SIGSTOP)
        try:
            receipt = await event_log.append(
                command=new_command(), events=[member(aggregate_id, 2)]
            )
        finally:
            os.kill(process, signal.SIGCONT)

    assert receipt.last_position == 2


async def test_stopped_process_does_not_keep_the_head_from_others(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    new_command: NewCommand,
    member: NewMember,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_stopped = asyncio.Event()

    async def stop(*_: object) -> None:
        has_stopped.set()
        await asyncio.Event().wait()

    logs = {"pool": pool, "projections": [], "journals": [], "policies": no_tasks}
    async with log.EventLog(**logs, seconds=1) as stopped, log.EventLog(**logs) as other:
        with monkeypatch.context() as patched:
            patched.setattr(transaction, "_store", stop)
            request = transaction.Request(new_command(), (member(uuid4(), 1),))
            connection = await stopped._writer._connect()
            writing = asyncio.create_task(
                transaction.write(
                    connection,
                    rules=stopped._writer._rules,
                    memory=stopped._writer._memory,
                    requests=[request],
                )
            )
            await has_stopped.wait()

        receipt = await other.append(command=new_command(), events=[member(uuid4(), 1)])

        writing.cancel()
        await asyncio.wait([writing])
    assert receipt.last_position == 1


async def test_check_tells_that_nothing_can_be_written_until_it_can_again(
    pool: psycopg_pool.AsyncConnectionPool[Any], database: str
) -> None:
    async with (
        log.EventLog(
            pool=pool, projections=[], journals=[], policies=no_tasks, seconds=0.5
        ) as event_log,
        await psycopg.AsyncConnection.connect(database) as other,
    ):
        assert await event_log.check() == 0
        await other.execute("SELECT 1 FROM ledger.head FOR UPDATE")
        event_log._writer._wrote_at = float("-inf")  # what was proven is old

        with pytest.raises(command.LogUnavailableError):
            await event_log.check()
        assert await event_log.head() == 0
        await other.rollback()

        assert await event_log.check() == 0


TOLD = "nothing can be recorded: could not extend file: No space left on device (SQLSTATE 53100)"


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == outage.__name__]


@contextlib.asynccontextmanager
async def impatient(pool: psycopg_pool.AsyncConnectionPool[Any]) -> AsyncIterator[log.EventLog]:
    async with log.EventLog(
        pool=pool, projections=[], journals=[], policies=no_tasks, seconds=0.5
    ) as event_log:
        yield event_log


async def test_full_disk_is_told_once_until_it_is_over(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    new_command: NewCommand,
    member: NewMember,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked, aggregate_id = new_command(), uuid4()
    async with (
        impatient(pool) as event_log,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as other,
    ):
        await event_log.append(command=new_command(), events=[member(aggregate_id, 1)])
        await other.execute(full_disk.FULL)
        for _ in range(2):
            with pytest.raises(command.LogUnavailableError):
                await event_log.append(command=asked, events=[member(aggregate_id, 2)])
        with pytest.raises(command.LogUnavailableError):
            await event_log.check()
        await other.execute(full_disk.ROOM)

        await event_log.append(command=asked, events=[member(aggregate_id, 2)])

        assert await event_log.check() == 2
    assert told(caplog) == [TOLD, "events are recorded again"]


async def test_idle_log_is_ready_again_when_there_is_room(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    new_command: NewCommand,
    member: NewMember,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        impatient(pool) as event_log,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as other,
    ):
        await other.execute(full_disk.FULL)
        with pytest.raises(command.LogUnavailableError):
            await event_log.append(command=new_command(), events=[member(uuid4(), 1)])
        for _ in range(3):
            with pytest.raises(command.LogUnavailableError):
                await event_log.check()
        await other.execute(full_disk.ROOM)

        assert await event_log.check() == 0

        receipt = await event_log.append(command=new_command(), events=[member(uuid4(), 1)])
    assert receipt.first_position == 1
    assert len(await recorded_events(database)) == 1
    assert told(caplog) == [TOLD, "events are recorded again"]


async def test_what_writes_nothing_does_not_end_an_outage(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    new_command: NewCommand,
    member: NewMember,
    database: str,
) -> None:
    known, aggregate_id = new_command(), uuid4()
    async with (
        impatient(pool) as event_log,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as other,
    ):
        await event_log.append(command=known, events=[member(aggregate_id, 1)])
        await other.execute(full_disk.FULL)
        with pytest.raises(command.LogUnavailableError):
            await event_log.append(command=new_command(), events=[member(aggregate_id, 2)])

        repeat = await event_log.append(command=known, events=[member(aggregate_id, 1)])
        with pytest.raises(command.VersionConflictError):
            await event_log.append(command=new_command(), events=[member(aggregate_id, 1)])

        assert repeat.is_repeat
        with pytest.raises(command.LogUnavailableError):
            await event_log.check()


async def test_lost_sessions_alone_are_no_outage(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as other:
        for _ in range(3):
            await event_log.append(command=new_command(), events=[member(uuid4(), 1)])
            await other.execute(KILL)

        await event_log.append(command=new_command(), events=[member(uuid4(), 1)])

    assert told(caplog) == []


async def _until_available(
    event_log: log.EventLog, asked: command.Command, event: events.Event
) -> command.Receipt:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(command.LogUnavailableError):
                return await event_log.append(command=asked, events=[event])


async def test_unreachable_server_is_said_to_be_unavailable(
    tmp_path: Path, new_command: NewCommand, member: NewMember
) -> None:
    async with (
        psycopg_pool.AsyncConnectionPool(
            f"host={tmp_path} user=nobody dbname=none", min_size=0, max_size=1, open=False
        ) as pool,
        log.EventLog(
            pool=pool, projections=[], journals=[], policies=no_tasks, seconds=0.3
        ) as event_log,
    ):
        with pytest.raises(command.LogUnavailableError) as refused:
            await event_log.append(command=new_command(), events=[member(uuid4(), 1)])
        with pytest.raises(command.LogUnavailableError):
            await event_log.head()

    assert refused.value.code == "UNAVAILABLE"


async def test_caller_that_leaves_does_not_stop_the_write(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember
) -> None:
    asked = new_command()
    caller = asyncio.create_task(event_log.append(command=asked, events=[member(uuid4(), 1)]))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])

    receipt = await event_log.append(command=new_command(), events=[member(uuid4(), 1)])

    assert await event_log.head() == receipt.last_position
    assert caller.cancelled()
