"""The feed: catch-up, then live, through one statement."""

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import psycopg
import psycopg_pool
import pytest

import projections
from app.audit import asked, exporting, feed, selecting
from app.eventlog import connections, epochs, log, rebuild
from tests.app.audit import conftest

pytestmark = pytest.mark.anyio

PATIENCE = 20.0


@pytest.fixture
def source(ledger: connections.Connections, event_log: log.EventLog) -> feed.Feed:
    return feed.Feed(pool=ledger, hints=event_log.hints)


def positions(text: bytes) -> list[int]:
    return [int(json.loads(line)["position"]) for line in text.splitlines()]


async def taken(chunks: AsyncGenerator[exporting.Chunk, None], *, until: int) -> list[int]:
    """Return the positions that come, up to one that is reached, with an event or without."""
    found: list[int] = []
    async with asyncio.timeout(PATIENCE), contextlib.aclosing(chunks):
        async for chunk in chunks:
            found += positions(chunk.text)
            if chunk.position >= until:
                return found
    return found


async def test_followers_miss_nothing_and_see_nothing_twice_while_others_write(
    event_log: log.EventLog, source: feed.Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_BATCH", 7)
    chance = random.Random(5)  # noqa: S311  the same each time
    await conftest.record(event_log, count=30)
    writers = [asyncio.create_task(conftest.record(event_log, count=30)) for _ in range(4)]
    followers = []
    for _ in range(6):
        after = chance.randrange(30)
        chunks = source.follow(exporting.Export(), after=after)
        followers.append((after, asyncio.create_task(taken(chunks, until=150))))
        await asyncio.sleep(chance.uniform(0, 0.02))

    await asyncio.gather(*writers)

    for after, follower in followers:
        assert await follower == list(range(after + 1, 151))


async def test_a_follower_hears_how_far_the_log_has_come_though_nothing_matched(
    event_log: log.EventLog, source: feed.Feed
) -> None:
    await conftest.record(event_log, count=5)
    selection = selecting.Selection(actor="nobody")
    condition, values = selection.conditions()
    chunks = source.follow(exporting.Export(condition=condition, values=values), after=0)
    async with contextlib.aclosing(chunks):
        assert await anext(chunks) == exporting.Chunk(5, b"")

        await conftest.record(event_log, count=3)

        async with asyncio.timeout(PATIENCE):
            while (chunk := await anext(chunks)).position < 8:
                assert chunk.text == b""
        assert chunk == exporting.Chunk(8, b"")


async def test_silence_is_told_of(
    event_log: log.EventLog, source: feed.Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_LONGEST_WAIT", 0.05)
    await conftest.record(event_log, count=2)
    chunks = source.follow(exporting.Export(), after=2)

    async with asyncio.timeout(PATIENCE), contextlib.aclosing(chunks):
        assert await anext(chunks) == exporting.Chunk(2, b"")
        assert await anext(chunks) == exporting.Chunk(2, b"")


async def test_a_follower_goes_on_after_a_lost_connection(
    event_log: log.EventLog, source: feed.Feed, connection: psycopg.AsyncConnection[Any]
) -> None:
    await conftest.record(event_log, count=3)
    chunks = source.follow(exporting.Export(), after=0)
    following = asyncio.create_task(taken(chunks, until=6))
    await asyncio.sleep(0)

    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await conftest.record(event_log, count=3)

    assert await following == [1, 2, 3, 4, 5, 6]


async def test_who_takes_nothing_holds_no_more_than_two_chunks(
    event_log: log.EventLog,
    source: feed.Feed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporting, "_BATCH", 2)
    await conftest.record(event_log, count=20)
    asked_for: list[int] = []

    class Counting(exporting.Export):
        async def chunk(
            self, connection: connections.Connection, *, after: int, until: int
        ) -> exporting.Chunk:
            asked_for.append(after)
            return await super().chunk(connection, after=after, until=until)

    chunks = source.follow(Counting(), after=0)
    async with contextlib.aclosing(chunks):
        await anext(chunks)
        await asyncio.sleep(0.2)  # a client that reads no further

        assert asked_for == [0, 2]


async def test_whoever_is_ahead_of_the_log_is_told(
    event_log: log.EventLog, source: feed.Feed
) -> None:
    await conftest.record(event_log, count=2)

    with pytest.raises(epochs.LogDivergedError) as refused:
        await source.start(after=epochs.Place.parsed("3"))

    assert refused.value.last_common == "2"


async def test_every_filter_chooses_what_the_log_says(
    event_log: log.EventLog, source: feed.Feed, pool: psycopg_pool.AsyncConnectionPool[Any]
) -> None:
    await rebuild.ensure_tables(
        pool=pool, projections=projections.PROJECTIONS, journals=projections.JOURNALS
    )
    one, other = uuid.uuid4(), uuid.uuid4()
    await conftest.record(event_log, count=9, project=one)
    await conftest.record(event_log, count=9, project=other)
    every = await event_log.read(after=0, limit=100)
    middle = every[10]
    cases = [
        (selecting.Selection(events=("MemberAdded",)), lambda _: True),
        (selecting.Selection(events=("ProjectCreated",)), lambda _: False),
        (selecting.Selection(subject=one), lambda it: it.event.originator_id == one),
        (selecting.Selection(project=other), lambda it: it.event.originator_id == other),
        (selecting.Selection(environment=other), lambda it: it.event.originator_id == other),
        (selecting.Selection(actor="grace"), lambda it: it.actor == "grace"),
        (
            selecting.Selection(correlation_id=middle.correlation_id),
            lambda it: it.position == middle.position,
        ),
        (
            selecting.Selection(recorded_from=middle.recorded_at),
            lambda it: it.recorded_at >= middle.recorded_at,
        ),
        (
            selecting.Selection(recorded_before=middle.recorded_at),
            lambda it: it.recorded_at < middle.recorded_at,
        ),
        (selecting.Selection(recorded_from=datetime(9999, 1, 1, tzinfo=UTC)), lambda _: False),
        (selecting.Selection(recorded_before=datetime(1, 1, 2, tzinfo=UTC)), lambda _: False),
        (
            selecting.Selection(actor="grace", subject=one),
            lambda it: it.actor == "grace" and it.event.originator_id == one,
        ),
    ]
    for selection, is_wanted in cases:
        condition, values = selection.conditions()
        export = exporting.Export(condition=condition, values=values)

        found = await taken(source.read(export, after=0, until=len(every)), until=len(every))

        assert found == [it.position for it in every if is_wanted(it)], selection


async def test_a_follower_of_a_lost_log_is_told_where_both_are_the_same(
    event_log: log.EventLog, source: feed.Feed, connection: psycopg.AsyncConnection[Any]
) -> None:
    await conftest.record(event_log, count=5)
    chunks = source.follow(exporting.Export(), after=0)
    async with contextlib.aclosing(chunks), asyncio.timeout(PATIENCE):
        assert (await anext(chunks)).position == 5
        # As if the log had been restored as of position 3, and had grown again.
        await connection.execute(
            "INSERT INTO ledger.epochs (number, began_after, birthmark)"
            " VALUES (2, 3, ledger.birthmark())"
        )
        await conftest.record(event_log, count=3)

        with pytest.raises(epochs.LogDivergedError) as refused:
            await anext(chunks)

    until = await source.start(after=epochs.Place.parsed("2.8"))
    chunk = await exporting.Export().chunk(connection, after=0, until=until)
    sse = exporting.Export(framing=exporting.Framing.EVENTS)
    events = await sse.chunk(connection, after=4, until=until)

    assert refused.value.last_common == "3"
    for lost in ("4", "8"):
        with pytest.raises(epochs.LogDivergedError):
            await source.start(after=epochs.Place.parsed(lost))
    told = [json.loads(line)["position"] for line in chunk.text.splitlines()]
    assert told == ["1", "2", "3", "2.4", "2.5", "2.6", "2.7", "2.8"]
    assert events.text.startswith(b"id: 2.5\n")
    assert source.place(8) == "2.8"


@pytest.fixture
async def filled(pool: psycopg_pool.AsyncConnectionPool[Any]) -> None:
    """Many events, so that the planner has a reason to choose."""
    await rebuild.ensure_tables(
        pool=pool, projections=projections.PROJECTIONS, journals=projections.JOURNALS
    )
    async with pool.connection() as connection:
        await connection.execute(
            """
            INSERT INTO ledger.events
            SELECT n, md5((n / 5)::text)::uuid, n % 5 + 1, 'Topic' || n % 50, '{}',
                gen_random_uuid(), gen_random_uuid(), json_build_object('actor', 'actor-' || n % 90,
                'correlation_id', gen_random_uuid()), now() + n * interval '1 second'
            FROM generate_series(1, 30000) AS n
            """
        )
        await connection.execute("ANALYZE ledger.events")


@pytest.mark.usefixtures("filled")
async def test_every_filter_has_its_index(connection: psycopg.AsyncConnection[Any]) -> None:
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    for selection, index in (
        (selecting.Selection(events=("Topic7",)), "events_topic"),
        (selecting.Selection(actor="actor-7"), "events_actor"),
        (selecting.Selection(correlation_id=uuid.uuid4()), "events_correlation"),
        (selecting.Selection(subject=uuid.uuid4()), "events_originator"),
        (selecting.Selection(recorded_from=long_ago), "events_recorded_at"),
        (selecting.Selection(recorded_before=long_ago), "events_recorded_at"),
    ):
        plan = await planned(connection, selection)

        assert index in plan, plan
        assert "Seq Scan" not in plan, plan


@pytest.mark.usefixtures("filled")
async def test_what_is_in_a_place_is_found_by_indexes(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await connection.execute("SET enable_seqscan = off")  # there are too few rows of them
    for selection in (
        selecting.Selection(project=uuid.uuid4()),
        selecting.Selection(environment=uuid.uuid4()),
    ):
        plan = await planned(connection, selection)

        assert "events_originator" in plan, plan
        assert "Seq Scan" not in plan, plan


async def planned(connection: psycopg.AsyncConnection[Any], selection: selecting.Selection) -> str:
    condition, values = selection.conditions()
    statement = psycopg.sql.SQL(
        "EXPLAIN SELECT e.position FROM ledger.events AS e WHERE e.position > 0 AND {}"
        " ORDER BY e.position LIMIT 2000"
    ).format(condition)
    rows = await (await connection.execute(statement, values)).fetchall()
    return "\n".join(line for (line,) in rows)


@pytest.mark.parametrize(
    "text",
    [
        "after=x",
        "after=-1",
        "after=9223372036854775808",
        "after=1&after=2",
        "follow=yes",
        "project=svc_00000000000000000000000000000000",
        "subject=x",
        "correlationId=x",
        "recordedFrom=yesterday",
        "recordedFrom=2026-01-01T00:00:00",
        "actor=\x00",
        "actor=\udcff",
        "event=MemberAdded&event=Member\x00",
        "colour=red",
    ],
)
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    pairs = [(name, value) for name, _, value in (each.partition("=") for each in text.split("&"))]

    with pytest.raises(asked.BadRequestError):
        asked.read(pairs)
