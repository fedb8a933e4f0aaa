import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg_pool
import pytest

from app import asgi, bootstrap, settings
from app import database as databases
from app.access import caller
from app.application import request, tokens
from app.eventlog import asking
from app.graphql import reading
from tests.app.graphql.asking import COUNTED, Api, CountingCursor, Shop, counted


@pytest.fixture
def beta_ended() -> bool:
    """Most tests are not about the Beta."""
    return True


@pytest.fixture
async def api(
    database: str, directory: Path, monkeypatch: pytest.MonkeyPatch, *, beta_ended: bool
) -> AsyncIterator[Api]:
    monkeypatch.setattr(asking, "ask", counted)
    found = databases.Database(ledger_dsn=database, provider_dsn=None, provider_address=None)
    wanted = settings.Settings(data_directory=directory, beta_ended=beta_ended)
    async with contextlib.AsyncExitStack() as stack:
        parts = await stack.enter_async_context(
            bootstrap.assembled(settings=wanted, found=found, progress=lambda _: None)
        )
        pool = await stack.enter_async_context(
            psycopg_pool.AsyncConnectionPool(
                database,
                min_size=1,
                open=False,
                configure=reading._configure,
                kwargs={"autocommit": True, "cursor_factory": CountingCursor},
            )
        )
        built = asgi._schema()
        yield Api(
            parts=parts,
            schema=built,
            reader=reading.Reader(
                pool=pool,
                event_log=parts.event_log,
                texts=parts.texts,
                schema=built._schema,
            ),
            statements=COUNTED,
        )


@pytest.fixture
async def shop(api: Api) -> Shop:
    """`shop` with `test` and `live`; each has a database and a storage."""
    project, _ = await api.parts.application.projects.create_project(
        request=request.Request(actor="ada", name="createProject"), name="shop"
    )
    async with api.parts.pool.connection() as connection:
        cursor = await connection.execute("SELECT name, id FROM read.environments")
        environments = dict(await cursor.fetchall())
        cursor = await connection.execute(
            "SELECT kind, id FROM read.service_instances WHERE environment_id = %s",
            [environments["test"]],
        )
        services = dict(await cursor.fetchall())
    return Shop(
        project=project,
        test=environments["test"],
        live=environments["live"],
        database=services["DATABASE"],
        storage=services["STORAGE"],
    )


@pytest.fixture
async def token(api: Api) -> str:
    _, made, _ = await api.parts.application.tokens.create(
        request=request.Request(actor="root", name="createToken"),
        wanted=tokens.Wanted(subject="ada", name="Ada", roles=frozenset({caller.Role.OPERATOR})),
    )
    assert made is not None
    return made


@pytest.fixture
async def client(api: Api, token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi.create(api.parts)),
        base_url="http://servicebook",
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
    ) as client:
        yield client
