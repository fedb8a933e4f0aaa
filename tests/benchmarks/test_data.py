"""The generated log is one that the product could have written."""

from typing import Any

import psycopg
import psycopg_pool
import pytest
from psycopg import sql

import projections
from app.application import unit_of_work
from app.eventlog import log, rebuild, tables
from projections import projection
from tests.benchmarks import data

pytestmark = pytest.mark.anyio

SIZES = data.Sizes(
    projects=4,
    events_of_a_project=150,
    services_of_the_crowded_project=30,
    events_of_the_longest_history=60,
    stories=2,
)
MODELS: dict[str, Any] = {
    "projections": projections.PROJECTIONS,
    "journals": projections.JOURNALS,
}
UNTOLD = {"people", "api_tokens"}
"""Stories are those of projects."""


async def contents(database: str, table: projection.Table) -> list[tuple[Any, ...]]:
    statement = sql.SQL("SELECT * FROM {} ORDER BY {}").format(
        sql.Identifier(tables.LIVE, table.name),
        sql.SQL(", ").join(map(sql.Identifier, table.primary_key)),
    )
    async with await psycopg.AsyncConnection.connect(database) as connection:
        return await (await connection.execute(statement)).fetchall()


async def test_generated_rows_are_those_that_a_rebuild_makes(empty_database: str) -> None:
    landmarks = await data.load(conninfo=empty_database, sizes=SIZES)
    made = [model.table for key in MODELS for model in MODELS[key]]
    loaded = {table.name: await contents(empty_database, table) for table in made}

    async with psycopg_pool.AsyncConnectionPool(empty_database) as pool:
        await rebuild.rebuild(pool=pool, **MODELS)

    rebuilt = {table.name: await contents(empty_database, table) for table in made}
    assert {name for name, rows in loaded.items() if not rows} == UNTOLD
    assert rebuilt == loaded
    assert len(loaded["projects"]) == SIZES.projects + 2
    crowded = [
        row
        for row in loaded["service_instances"]
        if row[1] == landmarks.crowded_project_id and row[2] == landmarks.crowded_environment_id
    ]
    assert len(crowded) == SIZES.services_of_the_crowded_project // 5
    history = [row for row in loaded["lifecycle_history"] if row[0] == landmarks.longest_history_id]
    assert [row[1] for row in history] == list(range(1, SIZES.events_of_the_longest_history + 1))


async def test_generated_log_is_gapless_and_replays(empty_database: str) -> None:
    landmarks = await data.load(conninfo=empty_database, sizes=SIZES)

    async with (
        psycopg_pool.AsyncConnectionPool(empty_database) as pool,
        log.EventLog(pool=pool, policies=lambda _: (), **MODELS) as event_log,
    ):
        recorded = await event_log.read(after=0, limit=landmarks.events + 1)
        ids = {entry.event.originator_id for entry in recorded}
        histories = (await event_log.load(*ids)).events

        assert [entry.position for entry in recorded] == list(range(1, landmarks.events + 1))
        moments = [entry.recorded_at for entry in recorded]
        assert moments == sorted(set(moments))
        assert all(entry.event.timestamp <= entry.recorded_at for entry in recorded)
        assert len({entry.command_id for entry in recorded}) == landmarks.commands
        for aggregate_id in ids:
            aggregate = unit_of_work.replay(histories[aggregate_id])
            assert aggregate.version == len(histories[aggregate_id])
        assert await event_log.head() == landmarks.events
