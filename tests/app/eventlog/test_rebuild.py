import asyncio
import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import psycopg
import psycopg_pool
import pytest
from psycopg import sql

import projections
from app.eventlog import (
    catching_up,
    command,
    finishing,
    folding,
    log,
    mapper,
    pace,
    parts,
    projecting,
    rebuild,
    tables,
)
from domain import events, values
from projections import projection

pytestmark = pytest.mark.anyio

NewCommand = Callable[..., command.Command]
NewMember = Callable[..., events.MemberAdded]
Pool = psycopg_pool.AsyncConnectionPool[Any]

STORIES: list[list[type[events.Event]]] = [
    [
        events.ProjectCreated,
        events.MemberAdded,
        events.SubscriptionChanged,
        events.EnvironmentListed,
        events.UnitTaken,
    ],
    [events.PersonAppeared, events.BetaJoined, events.BetaLeft],
    [events.TokenCreated, events.TokenRevoked],
    [
        events.EnvironmentCreated,
        events.EnvironmentPrefixTaken,
        events.EnvironmentDeploymentStarted,
        events.EnvironmentDeploymentEnded,
        events.EnvironmentDeployerConfigured,
    ],
    [
        events.ServiceAdded,
        events.ServiceProvisioningStarted,
        events.ServiceOperationDelayed,
        events.ServiceProvisioned,
        events.ServiceDeploymentJoined,
        events.ServiceAttached,
        events.ServiceUpdateStarted,
        events.ServiceUpdated,
        events.ServicePrefixRenamed,
        events.ServiceDetachmentRequested,
    ],
    [
        events.DeploymentStarted,
        events.DeploymentStepStarted,
        events.DeploymentConfigured,
        events.DeploymentSucceeded,
    ],
]


MESSAGES = [
    'says "no", \\ and é',
    "two\nlines\tand \\n",
    "\\.",
    "\x1b[1mred\r\n{, }\x7f",
]
"""What a COPY could trip over."""


async def contents(database: str, table: projection.Table) -> list[tuple[Any, ...]]:
    statement = sql.SQL("SELECT * FROM {} ORDER BY {}").format(
        sql.Identifier(tables.LIVE, table.name),
        sql.SQL(", ").join(map(sql.Identifier, table.primary_key)),
    )
    async with await psycopg.AsyncConnection.connect(database) as connection:
        return await (await connection.execute(statement)).fetchall()


async def shape(database: str) -> list[tuple[Any, ...]]:
    """Columns and indexes of the schema, as PostgreSQL tells them."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        columns = await connection.execute(
            "SELECT table_name, column_name, udt_name, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'read' ORDER BY table_name, ordinal_position"
        )
        indexes = await connection.execute(
            "SELECT tablename, indexname, indexdef FROM pg_indexes "
            "WHERE schemaname = 'read' ORDER BY indexname"
        )
        return [*await columns.fetchall(), *await indexes.fetchall()]


async def write(
    event_log: log.EventLog, new_command: NewCommand, member: NewMember, *, streams: int
) -> None:
    async def one_stream(number: int) -> None:
        aggregate_id = uuid4()
        for version in range(1, 7):
            event: events.Event = member(aggregate_id, version, subject=f"person-{number}")
            if version == 6 and number % 3 == 0:
                event = events.MemberRemoved(
                    originator_id=aggregate_id,
                    originator_version=version,
                    timestamp=event.timestamp,
                    subject="everybody",
                )
            await event_log.append(command=new_command(), events=[event])

    await asyncio.gather(*(one_stream(number) for number in range(streams)))


@pytest.mark.parametrize(
    ("batch", "cached_rows", "short_way"), [(5000, 10000, 500), (7, 10000, 500), (7, 5, 20)]
)
async def test_rebuilt_rows_equal_the_live_ones(  # noqa: PLR0913, PLR0917  fixtures and parameters
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    tallies: projection.Projection,
    entries: projection.Journal,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
    cached_rows: int,
    short_way: int,
) -> None:
    monkeypatch.setattr(catching_up, "_BATCH", batch)
    monkeypatch.setattr(catching_up, "_CACHED_ROWS", cached_rows)
    monkeypatch.setattr(rebuild, "_SHORT_WAY", short_way)
    await write(event_log, new_command, member, streams=30)
    live = [await contents(database, model.table) for model in (tallies, entries)]
    before = await shape(database)
    told: list[tuple[int, int]] = []

    await rebuild.rebuild(
        pool=pool,
        projections=[tallies],
        journals=[entries],
        progress=lambda position, head: told.append((position, head)),
    )

    assert [await contents(database, model.table) for model in (tallies, entries)] == live
    assert await shape(database) == before
    assert len(live[0]) == 40
    assert told[-1] == (180, 180)


async def test_commands_go_on_during_a_rebuild(
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    tallies: projection.Projection,
    entries: projection.Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catching_up, "_BATCH", 20)
    await write(event_log, new_command, member, streams=10)
    is_over = asyncio.Event()

    async def write_on() -> int:
        written = 0
        while not is_over.is_set():
            await write(event_log, new_command, member, streams=4)
            written += 24
        return written

    writers = [asyncio.create_task(write_on()) for _ in range(2)]
    for _ in range(3):
        await rebuild.rebuild(pool=pool, projections=[tallies], journals=[entries])
    is_over.set()
    written = sum([await writer for writer in writers])

    live = [await contents(database, model.table) for model in (tallies, entries)]
    await rebuild.rebuild(pool=pool, projections=[tallies], journals=[entries])
    assert [await contents(database, model.table) for model in (tallies, entries)] == live
    assert await event_log.head() == 60 + written


async def test_swap_gives_way_to_a_reader_that_holds_the_table(
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    tallies: projection.Projection,
    entries: projection.Journal,
) -> None:
    await write(event_log, new_command, member, streams=3)
    live = await contents(database, tallies.table)
    async with await psycopg.AsyncConnection.connect(database) as reader:
        await reader.execute("SELECT 1 FROM read.tallies")
        rebuilding = asyncio.create_task(
            rebuild.rebuild(pool=pool, projections=[tallies], journals=[entries])
        )
        await _until_somebody_waits_for_a_lock(database)

        receipt = await event_log.append(
            command=new_command(), events=[member(uuid4(), 1, subject="meanwhile")]
        )
        await reader.rollback()

    await rebuilding

    assert receipt.last_position == 19
    assert len(await contents(database, tallies.table)) == len(live) + 2


async def test_swap_waits_for_a_vacuum_before_commands_have_to_wait_for_it(
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    tallies: projection.Projection,
    entries: projection.Journal,
) -> None:
    await write(event_log, new_command, member, streams=3)
    async with await psycopg.AsyncConnection.connect(database) as vacuum:
        await vacuum.execute("LOCK TABLE read.tallies IN SHARE UPDATE EXCLUSIVE MODE")
        rebuilding = asyncio.create_task(
            rebuild.rebuild(pool=pool, projections=[tallies], journals=[entries])
        )
        await _until_somebody_waits_for_a_lock(database)

        async with await psycopg.AsyncConnection.connect(database) as writer:
            await writer.execute("SELECT position FROM ledger.head FOR UPDATE NOWAIT")
        await vacuum.rollback()

    assert await rebuilding == []


async def _until_somebody_waits_for_a_lock(database: str) -> None:
    async with (
        asyncio.timeout(10),
        await psycopg.AsyncConnection.connect(database, autocommit=True) as connection,
    ):
        waiting = 0
        while not waiting:
            cursor = await connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            [(waiting,)] = await cursor.fetchall()


async def test_start_up_makes_what_is_missing_or_has_another_version(
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    tallies: projection.Projection,
    entries: projection.Journal,
) -> None:
    models: dict[str, Any] = {"pool": pool, "projections": [tallies], "journals": [entries]}
    await write(event_log, new_command, member, streams=3)
    assert await rebuild.ensure_tables(**models) == []

    entries.version = 2
    assert await rebuild.ensure_tables(**models) == ["tallies", "tally_entries"]

    assert await rebuild.ensure_tables(**models) == []
    assert len(await contents(database, tallies.table)) == 4


async def test_processes_that_start_together_make_each_table_once(
    pool: Pool, tallies: projection.Projection, entries: projection.Journal, database: str
) -> None:
    made = await asyncio.gather(
        *(
            rebuild.ensure_tables(pool=pool, projections=[tallies], journals=[entries])
            for _ in range(3)
        )
    )

    assert sorted(made) == [[], [], ["tallies", "tally_entries"]]
    assert await contents(database, tallies.table) == []


async def test_read_models_of_the_product_are_made_and_rebuilt(
    pool: Pool,
    new_command: NewCommand,
    database: str,
    sample: Callable[[type[events.Event]], events.Event],
) -> None:
    def nothing(_: projection.RecordedEvent) -> Sequence[Any]:
        return []

    models: dict[str, Any] = {
        "projections": projections.PROJECTIONS,
        "journals": projections.JOURNALS,
    }
    await rebuild.ensure_tables(pool=pool, **models)
    made = [model.table for key in models for model in models[key]]
    async with log.EventLog(pool=pool, policies=nothing, **models) as event_log:
        for story in STORIES * 3:
            aggregate_id = uuid4()
            for version, event_class in enumerate(story, start=1):
                event = dataclasses.replace(
                    sample(event_class), originator_id=aggregate_id, originator_version=version
                )
                if isinstance(event, events.EnvironmentDeploymentEnded):
                    event = dataclasses.replace(event, status=values.DeploymentStatus.SUCCEEDED)
                await event_log.append(command=new_command(), events=[event])
    live = {table.name: await contents(database, table) for table in made}

    await rebuild.rebuild(pool=pool, **models)

    assert {table.name: await contents(database, table) for table in made} == live
    assert all(live.values()), [name for name, rows in live.items() if not rows]


async def test_fresh_tables_are_analyzed_and_left_to_autovacuum(
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    tallies: projection.Projection,
    entries: projection.Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finishing, "_ASSUMED", 0)
    await write(event_log, new_command, member, streams=3)

    await rebuild.rebuild(pool=pool, projections=[tallies], journals=[entries])

    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute(
            "SELECT relname, reltuples::int, reloptions FROM pg_class "
            "WHERE oid = ANY(%s::regclass[]) ORDER BY relname",
            [["read.tallies", "read.tally_entries"]],
        )
        assert await cursor.fetchall() == [("tallies", 4, None), ("tally_entries", 34, None)]


class PowerCutError(Exception):
    pass


async def test_rebuild_that_was_stopped_goes_on_with_unfinished_tables(
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    tallies: projection.Projection,
    entries: projection.Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models: dict[str, Any] = {"pool": pool, "projections": [tallies], "journals": [entries]}
    await write(event_log, new_command, member, streams=3)
    live = [await contents(database, model.table) for model in (tallies, entries)]
    before = await shape(database)
    finish = finishing._finish

    async def finish_entries(*arguments: object) -> None:
        if entries.table not in arguments:
            raise PowerCutError
        await finish(*arguments)  # type: ignore[arg-type]  as it was called

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "_finish", finish_entries)
        with pytest.raises(PowerCutError):
            await rebuild.rebuild(**models)
    await rebuild.rebuild(**models)

    assert [await contents(database, model.table) for model in (tallies, entries)] == live
    assert await shape(database) == before


async def test_rebuild_that_was_stopped_goes_on_where_it_was(
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    tallies: projection.Projection,
    entries: projection.Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "EVENTS", 20)
    models: dict[str, Any] = {"pool": pool, "projections": [tallies], "journals": [entries]}
    await write(event_log, new_command, member, streams=30)
    live = [await contents(database, model.table) for model in (tallies, entries)]
    told: list[int] = []

    def cut_after_three(position: int, _head: int) -> None:
        told.append(position)
        if len(told) == 3:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        await rebuild.rebuild(**models, progress=cut_after_three)
    await rebuild.rebuild(**models, progress=lambda position, _head: told.append(position))

    assert told == list(range(20, 181, 20))
    assert [await contents(database, model.table) for model in (tallies, entries)] == live


async def test_another_version_begins_anew(
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    tallies: projection.Projection,
    entries: projection.Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "EVENTS", 20)
    models: dict[str, Any] = {"pool": pool, "projections": [tallies], "journals": [entries]}
    await write(event_log, new_command, member, streams=10)
    told: list[int] = []

    def cut(_position: int, _head: int) -> None:
        raise PowerCutError

    with pytest.raises(PowerCutError):
        await rebuild.rebuild(**models, progress=cut)
    entries.version = 2
    await rebuild.rebuild(**models, progress=lambda position, _head: told.append(position))

    assert told == [20, 40, 60]


async def test_rows_that_differ_are_told_and_mended(
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    tallies: projection.Projection,
    entries: projection.Journal,
    caplog: pytest.LogCaptureFixture,
) -> None:
    models: dict[str, Any] = {"pool": pool, "projections": [tallies], "journals": [entries]}
    await write(event_log, new_command, member, streams=5)
    live = await contents(database, tallies.table)
    assert await rebuild.check(**models) == []
    [gone, wrong] = [row[0] for row in live if row[1] == 1][:2]
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("DELETE FROM read.tallies WHERE id = %s", [gone])
        await connection.execute("UPDATE read.tallies SET count = 99 WHERE id = %s", [wrong])
        await connection.execute(
            "INSERT INTO read.tallies SELECT gen_random_uuid(), part, count, subjects, versions, "
            "details, seen_at, position FROM read.tallies LIMIT 1"
        )

    [checked] = await rebuild.check(**models)
    [told] = await rebuild.rebuild(**models)

    assert checked == told
    assert (told.table, told.missing, told.new, told.changed) == ("tallies", 1, 2, 2)
    assert not told.is_expected
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "tallies (same version): 1 rows went, 2 came, 2 changed" in caplog.text
    assert await contents(database, tallies.table) == live


async def test_several_processes_fold_at_a_measured_pace(
    pool: Pool,
    new_command: NewCommand,
    sample: Callable[[type[events.Event]], events.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "EVENTS", 5)
    models: dict[str, Any] = {
        "projections": projections.PROJECTIONS,
        "journals": projections.JOURNALS,
    }
    await rebuild.ensure_tables(pool=pool, **models)
    async with log.EventLog(pool=pool, policies=lambda _: [], **models) as event_log:
        for number in range(10):
            aggregate_id, message = uuid4(), MESSAGES[number % len(MESSAGES)]
            for version, event_class in enumerate(STORIES[4], start=1):
                event = dataclasses.replace(
                    sample(event_class), originator_id=aggregate_id, originator_version=version
                )
                if isinstance(event, events.ServiceOperationDelayed):
                    event = dataclasses.replace(event, message=message, code="null")
                if isinstance(event, events.ServicePrefixRenamed):
                    event = dataclasses.replace(event, variable_names=(message, "null", ""))
                await event_log.append(command=new_command(), events=[event])
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(pace, "_rest", pause)
    unhurried = rebuild.Pace(processes=2, events_per_second=1)

    assert await rebuild.check(pool=pool, at_pace=unhurried, **models) == []
    assert len(pauses) == 20
    assert max(pauses) > 0


async def test_what_goes_wrong_in_a_process_is_raised_here(
    pool: Pool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "EVENTS", 1)
    models: dict[str, Any] = {
        "projections": projections.PROJECTIONS,
        "journals": projections.JOURNALS,
    }
    await rebuild.ensure_tables(pool=pool, **models)
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(
            "INSERT INTO ledger.events SELECT number, gen_random_uuid(), 1, 'Unheard', '{}', "
            "gen_random_uuid(), gen_random_uuid(), '{}', now() FROM generate_series(1, 9) AS number"
        )
        await connection.execute(
            "UPDATE ledger.head SET position = 9, recorded_at = clock_timestamp()"
        )

    with pytest.raises(mapper.UnknownTopicError, match=r"No event class .*'Unheard'"):
        await rebuild.rebuild(pool=pool, at_pace=rebuild.Pace(processes=2), **models)


async def test_rebuild_that_is_cancelled_lets_others_go_on_until_its_part_is_done(
    pool: Pool,
    event_log: log.EventLog,
    new_command: NewCommand,
    member: NewMember,
    database: str,
    tallies: projection.Projection,
    entries: projection.Journal,
) -> None:
    await write(event_log, new_command, member, streams=1)
    options = "-c idle_in_transaction_session_timeout=3s"  # or else nobody would end it
    async with await psycopg.AsyncConnection.connect(database, options=options) as holder:
        await holder.execute("LOCK TABLE ledger.events IN ACCESS EXCLUSIVE MODE")
        rebuilding = asyncio.create_task(
            rebuild.rebuild(pool=pool, projections=[tallies], journals=[entries])
        )
        await _until_somebody_waits_for_a_lock(database)

        rebuilding.cancel()
        await asyncio.wait([rebuilding], timeout=0.1)
        assert not rebuilding.done()
        await holder.rollback()

    async with asyncio.timeout(10):
        await asyncio.wait([rebuilding])
    assert rebuilding.cancelled()


async def test_what_begins_to_fold_is_closed_though_nobody_waits_for_it(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins, may_begin, is_closed = threading.Event(), threading.Event(), threading.Event()

    class Slow(parts.Folder):
        def __init__(self, work: parts.Work) -> None:
            begins.set()
            may_begin.wait(timeout=5)
            super().__init__(work)

        def close(self) -> None:
            super().close()
            is_closed.set()

    monkeypatch.setattr(parts, "Folder", Slow)
    folding_ = asyncio.create_task(
        rebuild.Pace().fold(nothing_to_fold(database), [0], done=lambda: None)
    )
    await asyncio.to_thread(begins.wait)

    folding_.cancel()
    await asyncio.sleep(0)
    may_begin.set()
    await asyncio.wait([folding_])

    assert folding_.cancelled()
    assert is_closed.is_set()


async def test_process_ends_when_nobody_sends_it_parts(database: str) -> None:
    process = folding.Process(nothing_to_fold(database))

    assert process.close() == 0


async def test_process_that_was_killed_is_told(database: str) -> None:
    process = folding.Process(nothing_to_fold(database))
    process._process.kill()

    with pytest.raises(folding.ProcessEndedError, match="code -9"):
        process.fold(0)

    process.close()


async def test_process_without_a_database_tells_so() -> None:
    process = folding.Process(nothing_to_fold("host=/nowhere"))

    with pytest.raises(psycopg.OperationalError):
        process.fold(0)

    process.close()


def nothing_to_fold(database: str) -> parts.Work:
    models = projecting.ReadModels(
        projections=projections.PROJECTIONS, journals=projections.JOURNALS
    )
    return parts.Work(conninfo=database, models=models, schema=tables.LIVE, head=0, count=1)
