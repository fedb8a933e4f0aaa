from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg_pool
import pytest

from app import bootstrap
from app.application import request, tokens


@pytest.fixture
async def pool(database: str) -> AsyncIterator[psycopg_pool.AsyncConnectionPool[Any]]:
    """Connections to a database with its read models."""
    await bootstrap.prepare(conninfo=database, progress=lambda _: None)
    async with psycopg_pool.AsyncConnectionPool(
        database, min_size=1, kwargs={"autocommit": True}, open=False
    ) as opened:
        yield opened


@pytest.fixture
async def use_cases(
    database: str, pool: psycopg_pool.AsyncConnectionPool[Any]
) -> AsyncIterator[tokens.Tokens]:
    assert pool
    async with bootstrap.token_commands(conninfo=database) as made:
        yield made


@pytest.fixture
def command() -> Callable[..., request.Request]:
    def made(name: str = "createToken", **given: Any) -> request.Request:  # noqa: ANN401  fields of a request
        return request.Request(actor="root", name=name, **given)

    return made
