from collections.abc import AsyncIterator
from typing import Any

import psycopg_pool
import pytest

import projections
from app.eventlog import log, rebuild


@pytest.fixture
async def event_log(database: str) -> AsyncIterator[log.EventLog]:
    """A log with the product's read models, and no tasks."""
    models: dict[str, Any] = {
        "projections": projections.PROJECTIONS,
        "journals": projections.JOURNALS,
    }
    async with psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False) as pool:
        await rebuild.ensure_tables(pool=pool, **models)
        async with log.EventLog(pool=pool, policies=lambda _: [], **models) as opened:
            yield opened


@pytest.fixture
async def other_log(
    event_log: log.EventLog,  # noqa: ARG001  it makes the tables
    database: str,
) -> AsyncIterator[log.EventLog]:
    """The log as another process has it."""
    async with (
        psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False) as pool,
        log.EventLog(
            pool=pool,
            projections=projections.PROJECTIONS,
            journals=projections.JOURNALS,
            policies=lambda _: [],
        ) as opened,
    ):
        yield opened
