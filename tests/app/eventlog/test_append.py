import asyncio
from collections.abc import Callable
from datetime import UTC
from typing import Any
from uuid import uuid4, uuid5

import psycopg
import pytest
from psycopg.rows import dict_row

from app.eventlog import command, loading, log, mapper
from domain import events, values

pytestmark = pytest.mark.anyio

NewCommand = Callable[..., command.Command]
NewMember = Callable[..., events.MemberAdded]


async def rows(database: str, statement: str) -> list[dict[str, Any]]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(statement.encode())
        return await cursor.fetchall()


async def assert_nothing_recorded(database: str) -> None:
    for statement in (
        "SELECT * FROM ledger.events",
        "SELECT * FROM ledger.commands",
        "SELECT * FROM read.tallies",
        "SELECT * FROM read.tally_entries",
        "SELECT * FROM procrastinate_jobs",
    ):
        assert await rows(database, statement) == []
    assert [row["position"] for row in await rows(database, "SELECT * FROM ledger.head")] == [0]


async def test_every_event_class_comes_back_as_it_went(
    event_log: log.EventLog,
    new_command: NewCommand,
    sample: Callable[[type[events.Event]], events.Event],
) -> None:
    made = {}
    for event_class in events.all_events().values():
        if event_class.__module__.startswith("domain."):
            event = sample(event_class)
            vars(event)["originator_id"] = uuid4()
            made[event.originator_id] = event

    await event_log.append(command=new_command(), events=list(made.values()))
    history = await event_log.load(*made)

    assert history.events == {aggregate_id: (event,) for aggregate_id, event in made.items()}
    assert history.position == len(made)
    read = await event_log.read(after=0, limit=1000)
    assert [recorded.event for recorded in read] == list(made.values())


async def test_receipt_tells_where_and_when(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember
) -> None:
    aggregate_id = uuid4()

    first = await event_log.append(command=new_command(), events=[member(aggregate_id, 1)])
    second = await event_log.append(
        command=new_command(), events=[member(aggregate_id, 2), member(aggregate_id, 3)]
    )

    assert (first.first_position, first.last_position, first.is_repeat) == (1, 1, False)
    assert (second.first_position, second.last_position) == (2, 3)
    recorded = await event_log.read(after=0, limit=10)
    assert recorded[-1].recorded_at == second.recorded_at > first.recorded_at
    assert second.recorded_at.tzinfo is UTC
    assert await event_log.head() == 3


async def test_event_carries_who_when_and_why(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    aggregate_id, cause = uuid4(), uuid4()
    asked = new_command(causation_id=cause, reason="a new colleague", traceparent="00-1-2-01")

    receipt = await event_log.append(command=asked, events=[member(aggregate_id, 1)])

    [recorded] = await event_log.read(after=0, limit=1)
    assert recorded.position == 1
    assert recorded.event_id == uuid5(asked.id, "0")
    assert recorded.command_id == asked.id
    assert recorded.actor == "ada"
    assert recorded.correlation_id == asked.correlation_id
    assert recorded.causation_id == cause
    assert recorded.reason == "a new colleague"
    assert recorded.recorded_at == receipt.recorded_at
    [row] = await rows(database, "SELECT metadata FROM ledger.events")
    assert row["metadata"]["traceparent"] == "00-1-2-01"


async def test_load_stops_at_a_position_and_knows_the_time(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember
) -> None:
    aggregate_id, other_id, missing_id = uuid4(), uuid4(), uuid4()
    await event_log.append(command=new_command(), events=[member(aggregate_id, 1)])
    await event_log.append(command=new_command(), events=[member(other_id, 1)])
    receipt = await event_log.append(command=new_command(), events=[member(aggregate_id, 2)])

    now = await event_log.load(aggregate_id, missing_id)
    then = await event_log.load(aggregate_id, other_id, until=1)
    nothing = await event_log.load(missing_id)

    assert [event.originator_version for event in now.events[aggregate_id]] == [1, 2]
    assert missing_id not in now.events
    assert now.position == 3
    assert now.now >= receipt.recorded_at
    assert now.now.tzinfo is UTC
    assert {key: len(stream) for key, stream in then.events.items()} == {aggregate_id: 1}
    assert then.position == 1
    assert nothing.events == {}
    assert nothing.position == 3


async def test_read_pages_through_one_aggregate(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember
) -> None:
    aggregate_id, other_id = uuid4(), uuid4()
    for version in (1, 2, 3):
        await event_log.append(
            command=new_command(), events=[member(aggregate_id, version), member(other_id, version)]
        )

    first = await event_log.read(after=0, limit=2, originator_id=aggregate_id)
    rest = await event_log.read(after=first[-1].position, limit=2, originator_id=aggregate_id)

    assert [recorded.position for recorded in first + rest] == [1, 3, 5]


async def test_read_models_and_tasks_are_written_with_the_event(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    aggregate_id = uuid4()

    await event_log.append(
        command=new_command(),
        events=[
            member(aggregate_id, 1, subject="grace"),
            member(aggregate_id, 2, subject="joan", role=values.MemberRole.VIEWER),
        ],
    )

    tallies = await rows(database, "SELECT * FROM read.tallies ORDER BY part")
    assert [(row["part"], row["count"], row["subjects"]) for row in tallies] == [
        (1, 2, ["grace", "joan"]),
        (2, 2, ["grace", "joan"]),
    ]
    assert tallies[0]["versions"] == [1, 2]
    assert tallies[0]["details"] == {"last": str(aggregate_id), "role": "VIEWER", "parts": [1]}
    entries = await rows(database, "SELECT * FROM read.tally_entries ORDER BY part, position")
    assert [(row["part"], row["count_before"], row["count"]) for row in entries] == [
        (1, None, 1),
        (1, 1, 2),
        (2, None, 1),
        (2, 1, 2),
    ]
    jobs = await rows(database, "SELECT * FROM procrastinate_jobs ORDER BY id")
    assert [(job["queue_name"], job["task_name"], job["args"]) for job in jobs] == [
        ("servicebook", "greet", {"subject": "grace"}),
        ("servicebook", "greet", {"subject": "joan"}),
    ]
    assert jobs[0]["scheduled_at"] is None
    assert jobs[1]["scheduled_at"] is not None


async def test_row_goes_when_the_fold_says_so(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    aggregate_id = uuid4()
    await event_log.append(command=new_command(), events=[member(aggregate_id, 1)])
    removed = events.MemberRemoved(
        originator_id=aggregate_id,
        originator_version=2,
        timestamp=member(aggregate_id, 1).timestamp,
        subject="grace",
    )

    await event_log.append(command=new_command(), events=[removed])

    assert await rows(database, "SELECT * FROM read.tallies") == []


@pytest.mark.parametrize("version", [1, 2, 4, 7])
async def test_only_the_next_version_is_recorded(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, version: int
) -> None:
    aggregate_id = uuid4()
    await event_log.append(
        command=new_command(), events=[member(aggregate_id, 1), member(aggregate_id, 2)]
    )

    with pytest.raises(command.VersionConflictError) as refused:
        await event_log.append(command=new_command(), events=[member(aggregate_id, version)])

    assert refused.value.aggregate_id == aggregate_id
    assert refused.value.current_version == 2
    assert refused.value.code == "VERSION_CONFLICT"
    assert await event_log.head() == 2


async def test_hole_inside_a_command_is_refused(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    aggregate_id = uuid4()

    with pytest.raises(command.VersionConflictError):
        await event_log.append(
            command=new_command(), events=[member(aggregate_id, 1), member(aggregate_id, 3)]
        )

    await assert_nothing_recorded(database)


async def test_repeat_gets_the_first_receipt(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember
) -> None:
    asked, aggregate_id = new_command(), uuid4()
    first = await event_log.append(command=asked, events=[member(aggregate_id, 1)])
    await event_log.append(command=new_command(), events=[member(aggregate_id, 2)])

    again = await event_log.append(command=asked, events=[member(aggregate_id, 3)])

    assert again.is_repeat
    assert (again.first_position, again.last_position) == (1, 1)
    assert again.recorded_at == first.recorded_at
    assert await event_log.head() == 2


async def test_id_of_another_command_is_refused(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember
) -> None:
    asked = new_command()
    await event_log.append(command=asked, events=[member(uuid4(), 1)])
    other = new_command(id=asked.id, fingerprint="remove a member")

    with pytest.raises(command.CommandReusedError, match=str(asked.id)):
        await event_log.append(command=other, events=[member(uuid4(), 1)])

    assert await event_log.head() == 1


async def test_command_without_events_is_recorded(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember
) -> None:
    await event_log.append(command=new_command(), events=[member(uuid4(), 1)])
    asked = new_command()

    receipt = await event_log.append(command=asked, events=[])
    again = await event_log.append(command=asked, events=[])

    assert (receipt.first_position, receipt.last_position) == (2, 1)
    assert again.is_repeat
    assert await event_log.head() == 1
    found = await event_log.find(asked.id)
    assert found is not None
    assert found.fingerprint == asked.fingerprint
    assert found.receipt == again
    assert await event_log.find(uuid4()) is None


async def test_twenty_repeats_at_once_are_one_command(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    asked, aggregate_id = new_command(), uuid4()

    receipts = await asyncio.gather(
        *(event_log.append(command=asked, events=[member(aggregate_id, 1)]) for _ in range(20))
    )

    assert {(receipt.first_position, receipt.last_position) for receipt in receipts} == {(1, 1)}
    assert len({receipt.recorded_at for receipt in receipts}) == 1
    assert sorted(receipt.is_repeat for receipt in receipts) == [False] + [True] * 19
    assert len(await rows(database, "SELECT * FROM ledger.commands")) == 1
    assert len(await rows(database, "SELECT * FROM procrastinate_jobs")) == 1


async def test_fold_that_raises_leaves_nothing(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    aggregate_id = uuid4()

    with pytest.raises(ArithmeticError, match="exploding"):
        await event_log.append(
            command=new_command(),
            events=[member(aggregate_id, 1), member(aggregate_id, 2, subject="exploding")],
        )

    await assert_nothing_recorded(database)


async def test_statement_that_fails_leaves_nothing(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    with pytest.raises(psycopg.DataError):
        await event_log.append(
            command=new_command(), events=[member(uuid4(), 1, subject="no\x00text")]
        )

    await assert_nothing_recorded(database)


async def test_failures_do_not_touch_their_batch_mates(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    aggregate_id, reused = uuid4(), new_command()
    outcomes = await asyncio.gather(
        event_log.append(command=reused, events=[member(aggregate_id, 1)]),
        event_log.append(command=new_command(), events=[member(aggregate_id, 1)]),
        event_log.append(command=new_command(), events=[member(uuid4(), 1, subject="exploding")]),
        event_log.append(command=new_command(), events=[member(uuid4(), 1, subject="no\x00text")]),
        event_log.append(
            command=new_command(id=reused.id, fingerprint="other"), events=[member(uuid4(), 1)]
        ),
        event_log.append(command=new_command(), events=[member(aggregate_id, 2)]),
        return_exceptions=True,
    )

    assert [type(outcome).__name__ for outcome in outcomes] == [
        "Receipt",
        "VersionConflictError",
        "ArithmeticError",
        "UntranslatableCharacter",
        "CommandReusedError",
        "Receipt",
    ]
    recorded = await event_log.read(after=0, limit=10)
    assert [(row.position, row.event.originator_version) for row in recorded] == [(1, 1), (2, 2)]
    assert len(await rows(database, "SELECT * FROM ledger.commands")) == 2
    assert len(await rows(database, "SELECT * FROM procrastinate_jobs")) == 2
    assert [row["count"] for row in await rows(database, "SELECT count FROM read.tallies")] == [
        2,
        2,
    ]


async def test_unknown_topic_is_said_when_loading(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    await event_log.append(command=new_command(), events=[member(uuid4(), 1)])
    stranger = uuid4()
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(
            "INSERT INTO ledger.events SELECT 2, %s, 1, 'Teleported', state, gen_random_uuid(), "
            "command_id, metadata, recorded_at FROM ledger.events",
            [stranger],
        )
        await connection.execute("UPDATE ledger.head SET position = 2, recorded_at = now()")

    with pytest.raises(mapper.UnknownTopicError, match="'Teleported'"):
        await event_log.load(stranger)


async def test_loads_at_the_same_time_share_statements(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = [uuid4() for _ in range(40)]
    for number, aggregate_id in enumerate(ids):
        added = member(aggregate_id, 1, subject=f"person-{number}")
        await event_log.append(command=new_command(), events=[added])
    asked = 0
    run = event_log._connections.run

    async def counted(work: Callable[..., Any]) -> object:
        nonlocal asked
        asked += 1
        return await run(work)

    monkeypatch.setattr(event_log._connections, "run", counted)

    histories = await asyncio.gather(*(event_log.load(key, uuid4()) for key in ids))

    assert [list(history.events) for history in histories] == [[key] for key in ids]
    subjects = [history.events[key][0].subject for key, history in zip(ids, histories, strict=True)]
    assert subjects == [f"person-{number}" for number in range(40)]
    assert asked <= 4


async def test_unknown_topic_fails_the_load_that_asked_for_it_alone(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, database: str
) -> None:
    strange, plain = uuid4(), uuid4()
    await event_log.append(command=new_command(), events=[member(plain, 1)])
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(
            "INSERT INTO ledger.events SELECT position + 1, %s, 1, 'Strange', state, event_id, "
            "command_id, metadata, recorded_at FROM ledger.events",
            [strange],
        )
        await connection.execute("UPDATE ledger.head SET position = 2, recorded_at = now()")

    of_strange, of_plain = await asyncio.gather(
        event_log.load(strange), event_log.load(plain), return_exceptions=True
    )

    assert isinstance(of_strange, mapper.UnknownTopicError)
    assert not isinstance(of_plain, BaseException)
    assert len(of_plain.events[plain]) == 1


async def test_who_loads_in_the_moment_in_which_all_statements_ended_is_answered(
    event_log: log.EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_AT_ONCE", 1)

    async with asyncio.timeout(20):
        found = [await event_log.load(uuid4()) for _ in range(3)]

    assert [dict(each.events) for each in found] == [{}, {}, {}]
