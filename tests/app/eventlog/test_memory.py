"""What a process need not ask for, because it wrote it: never more than what is so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
import psycopg_pool
import pytest

from app.eventlog import command, connections, log, transaction
from app.eventlog import memory as memories
from domain import events

pytestmark = pytest.mark.anyio

NewCommand = Callable[..., command.Command]
NewMember = Callable[..., events.MemberAdded]
WAITS = "SELECT 1 FROM pg_locks WHERE NOT granted"
Execute = Callable[[str], Awaitable[list[tuple[Any, ...]]]]


@pytest.fixture
async def other_log(
    event_log: log.EventLog,  # it makes the tables
    pool: psycopg_pool.AsyncConnectionPool[Any],
) -> AsyncIterator[log.EventLog]:
    """The log as another process has it."""
    rules = event_log._writer._rules
    async with log.EventLog(
        pool=pool,
        projections=rules.models.projections,
        journals=rules.models.journals,
        policies=rules.policies,
    ) as opened:
        yield opened


@pytest.fixture
async def execute(database: str) -> Execute:
    async def run(statement: str) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    return run


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the size of each batch that is looked for."""
    looks: list[int] = []
    look = transaction.write

    async def counted(
        connection: connections.Connection,
        *,
        rules: transaction.Rules,
        memory: memories.Memory,
        requests: Sequence[transaction.Request],
    ) -> list[command.Receipt | Exception]:
        looks.append(len(requests))
        return await look(connection, rules=rules, memory=memory, requests=requests)

    monkeypatch.setattr(transaction, "write", counted)
    return looks


async def assert_tallies(execute: Execute, expected: dict[UUID, int]) -> None:
    """Compare the read model and its journal with how many events each aggregate has."""
    assert dict(await execute("SELECT id, count FROM read.tallies WHERE part = 1")) == expected
    counts = "SELECT id, count(*)::int FROM {} WHERE {} GROUP BY id"
    assert dict(await execute(counts.format("read.tally_entries", "part = 1"))) == expected
    logged = counts.replace("id", "originator_id").format("ledger.events", "true")
    assert dict(await execute(logged)) == expected


async def test_process_that_is_alone_looks_once(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    execute: Execute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = count_looks(monkeypatch)
    aggregate_id = uuid4()

    receipts = [
        await event_log.append(command=new_command(), events=[member(aggregate_id, number)])
        for number in range(1, 6)
    ]

    assert looks == [1]
    assert [receipt.last_position for receipt in receipts] == [1, 2, 3, 4, 5]
    assert sorted(receipt.recorded_at for receipt in receipts) == [
        receipt.recorded_at for receipt in receipts
    ]
    read = await event_log.read(after=0, limit=10)
    assert [one.recorded_at for one in read] == [receipt.recorded_at for receipt in receipts]
    await assert_tallies(execute, {aggregate_id: 5})
    assert await execute("SELECT count(*) FROM procrastinate_jobs") == [(5,)]


async def test_what_another_process_wrote_between_is_seen(
    event_log: log.EventLog,
    other_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    execute: Execute,
) -> None:
    aggregate_id = uuid4()
    for number in range(1, 13):
        writer = event_log if number % 5 < 3 else other_log
        await writer.append(command=new_command(), events=[member(aggregate_id, number)])

    await assert_tallies(execute, {aggregate_id: 12})


async def test_process_looks_until_it_is_alone_again(
    event_log: log.EventLog,
    other_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine, others = uuid4(), uuid4()
    await event_log.append(command=new_command(), events=[member(mine, 1)])
    await other_log.append(command=new_command(), events=[member(others, 1)])
    looks = count_looks(monkeypatch)

    for number in range(2, 7):
        await event_log.append(command=new_command(), events=[member(mine, number)])

    assert looks == [1, 1]


async def test_conflict_is_told_from_what_is_there_now(
    event_log: log.EventLog, other_log: log.EventLog, new_command: NewCommand, member: NewMember
) -> None:
    aggregate_id = uuid4()
    await event_log.append(command=new_command(), events=[member(aggregate_id, 1)])
    await other_log.append(command=new_command(), events=[member(aggregate_id, 2)])

    with pytest.raises(command.VersionConflictError) as refused:
        await event_log.append(command=new_command(), events=[member(aggregate_id, 2)])

    assert refused.value.current_version == 2
    await event_log.append(command=new_command(), events=[member(aggregate_id, 3)])


@pytest.mark.parametrize("epoch", [1, 900])
async def test_what_was_assumed_must_be_so(
    event_log: log.EventLog,
    other_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    epoch: int,
) -> None:
    """Also of an aggregate that nothing is recorded of, and only in the same log."""
    read_only, changed = uuid4(), uuid4()
    await event_log.append(command=new_command(), events=[member(read_only, 1)])
    assumed = command.Assumed(epoch, {read_only: 1})
    if epoch == 1:
        await event_log.append(command=new_command(), events=[member(changed, 1)], assumed=assumed)
        await other_log.append(command=new_command(), events=[member(read_only, 2)])

    with pytest.raises(command.VersionConflictError):
        await event_log.append(
            command=new_command(), events=[member(changed, 2 if epoch == 1 else 1)], assumed=assumed
        )


async def test_rows_that_a_rebuild_put_in_their_place_are_read_anew(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    execute: Execute,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The head does not move when tables are swapped, not even while a claim waits for it."""
    aggregate_id = uuid4()
    for number in (1, 2):
        await event_log.append(command=new_command(), events=[member(aggregate_id, number)])
    looks = count_looks(monkeypatch)
    async with await psycopg.AsyncConnection.connect(database) as rebuilding:
        await rebuilding.execute("SELECT 1 FROM ledger.head FOR UPDATE")
        waiting = asyncio.create_task(
            event_log.append(command=new_command(), events=[member(aggregate_id, 3)])
        )
        async with asyncio.timeout(5):
            while not await execute(WAITS):  # noqa: ASYNC110  the server tells only who asks
                await asyncio.sleep(0.01)
        await rebuilding.execute("UPDATE read.tallies SET count = 100")
        await rebuilding.execute("UPDATE read.projections SET version = version")
        await rebuilding.commit()
    await waiting

    assert looks == [1]
    assert await execute("SELECT count FROM read.tallies") == [(101,), (101,)]


async def test_what_was_sent_behind_a_lost_batch_does_not_take_another_one_for_it(
    event_log: log.EventLog,
    other_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    execute: Execute,
    database: str,
) -> None:
    """Somebody else leaves the head at the very position where the first batch would have."""
    mine, others = uuid4(), uuid4()
    for number in (1, 2):  # by then all statements are prepared
        await event_log.append(command=new_command(), events=[member(mine, number)])
    async with await psycopg.AsyncConnection.connect(database) as holding, asyncio.timeout(10):
        await holding.execute("LOCK TABLE read.tally_entries IN EXCLUSIVE MODE")
        appends = [
            asyncio.create_task(other_log.append(command=new_command(), events=[member(others, 1)]))
        ]
        while not await execute(WAITS):  # noqa: ASYNC110  the server tells only who asks
            await asyncio.sleep(0.01)
        for sent in (1, 2):
            appends.append(
                asyncio.create_task(
                    event_log.append(command=new_command(), events=[member(mine, sent + 2)])
                )
            )
            while event_log._writer._count_sent() < sent:  # noqa: ASYNC110  as above
                await asyncio.sleep(0.01)
        await holding.rollback()
        outcomes = await asyncio.gather(*appends, return_exceptions=True)

    versions = "SELECT originator_id, array_agg(originator_version ORDER BY position)"
    logged = dict(await execute(f"{versions} FROM ledger.events GROUP BY 1"))
    recorded = [one for one in outcomes if isinstance(one, command.Receipt)]
    assert len(recorded) >= 2
    assert logged == {mine: list(range(1, len(recorded) + 2)), others: [1]}
    await assert_tallies(execute, {mine: len(recorded) + 1, others: 1})


async def test_repeat_among_new_commands_gets_its_first_receipt(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, execute: Execute
) -> None:
    """Batches that were sent after it have to begin anew; none is recorded twice or lost."""
    first, aggregates = new_command(), [uuid4() for _ in range(40)]
    given = await event_log.append(command=first, events=[member(aggregates[0], 1)])
    appends = [
        event_log.append(command=new_command(), events=[member(aggregate_id, 1)])
        for aggregate_id in aggregates[1:]
    ]
    await asyncio.gather(*appends)
    new = [
        event_log.append(command=new_command(), events=[member(aggregate_id, 2)])
        for aggregate_id in aggregates
    ]
    repeats = [event_log.append(command=first, events=[member(aggregates[0], 1)])]
    reused = [event_log.append(command=new_command(id=first.id, fingerprint="other"), events=[])]

    outcomes = await asyncio.gather(*new[:20], *repeats, *reused, *new[20:], return_exceptions=True)

    repeat, refusal = outcomes[20], outcomes[21]
    assert isinstance(repeat, command.Receipt)
    assert (repeat.is_repeat, repeat.last_position) == (True, given.last_position)
    assert isinstance(refusal, command.CommandReusedError)
    positions = [one.last_position for one in outcomes if isinstance(one, command.Receipt)]
    assert sorted(positions) == [1, *range(41, 81)]
    await assert_tallies(execute, dict.fromkeys(aggregates, 2))


async def test_failure_in_the_database_reaches_its_caller_and_is_not_remembered(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, execute: Execute
) -> None:
    aggregate_id = uuid4()
    await event_log.append(command=new_command(), events=[member(aggregate_id, 1)])
    await execute("ALTER TABLE read.tallies RENAME TO hidden")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await event_log.append(command=new_command(), events=[member(aggregate_id, 2)])
    await execute("ALTER TABLE read.hidden RENAME TO tallies")

    receipt = await event_log.append(command=new_command(), events=[member(aggregate_id, 2)])

    assert receipt.last_position == 2
    await assert_tallies(execute, {aggregate_id: 2})


async def test_row_that_is_gone_is_known_to_be_gone(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    execute: Execute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aggregate_id = uuid4()
    added = member(aggregate_id, 1)
    await event_log.append(command=new_command(), events=[added])
    looks = count_looks(monkeypatch)
    removed = events.MemberRemoved(
        originator_id=aggregate_id,
        originator_version=2,
        timestamp=added.timestamp,
        subject=added.subject,
    )
    await event_log.append(command=new_command(), events=[removed])
    assert await execute("SELECT * FROM read.tallies") == []

    await event_log.append(command=new_command(), events=[member(aggregate_id, 3)])

    assert looks == []
    assert await execute("SELECT count FROM read.tallies") == [(1,), (1,)]


async def test_time_that_was_told_long_ago_is_asked_again(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aggregate_id = uuid4()
    await event_log.append(command=new_command(), events=[member(aggregate_id, 1)])
    assert event_log.recent() is not None
    monkeypatch.setattr(memories, "_FRESH", 0.0)
    looks = count_looks(monkeypatch)

    assert event_log.recent() is None
    await event_log.append(command=new_command(), events=[member(aggregate_id, 2)])

    assert looks == [1]


async def test_what_lay_longest_is_looked_up_again(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    execute: Execute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memories, "_MOST", 3)
    aggregates = [uuid4() for _ in range(6)]
    for number in (1, 2, 3):
        for aggregate_id in aggregates:
            await event_log.append(command=new_command(), events=[member(aggregate_id, number)])

    await assert_tallies(execute, dict.fromkeys(aggregates, 3))
