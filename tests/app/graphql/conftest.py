import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import psycopg_pool
import pytest
import strawberry

from app import bootstrap, settings
from app import database as databases
from app.access import caller
from app.application import request
from app.graphql import context, identifiers, reading, schema

OPERATOR = caller.Caller(
    subject="ada",
    name="Ada",
    token_id=uuid.UUID(int=1),
    roles=frozenset({caller.Role.OPERATOR}),
)


class CountingCursor(psycopg.AsyncCursor[Any]):
    """Remembers every statement that is sent."""

    sent: list[str]

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        COUNTED.append(query.decode() if isinstance(query, bytes) else str(query))
        return await super().execute(query, params, **options)


COUNTED: list[str] = []


@dataclasses.dataclass
class Api:
    """The schema over a database, asked without HTTP."""

    parts: bootstrap.Parts
    schema: strawberry.Schema
    reader: reading.Reader
    statements: list[str]

    async def answer(
        self, text: str, /, *, who: caller.Caller | None = OPERATOR, **variables: Any
    ) -> Any:
        self.statements.clear()
        return await self.schema.execute(
            text, variable_values=variables, context_value=self.context(who)
        )

    async def ask(self, text: str, /, **variables: Any) -> Any:
        """Return the data; there must be no errors."""
        answer = await self.answer(text, **variables)
        assert answer.errors is None, answer.errors
        return answer.data

    async def codes(self, text: str, /, **variables: Any) -> list[str]:
        """Return the codes of the errors."""
        answer = await self.answer(text, **variables)
        return [error.extensions["code"] for error in answer.errors or ()]

    async def stream(self, text: str, /, **variables: Any) -> Any:
        return await self.schema.subscribe(
            text, variable_values=variables, context_value=self.context(OPERATOR)
        )

    def context(self, who: caller.Caller | None) -> context.Context:
        return context.Context(
            caller=who,
            reader=self.reader,
            event_log=self.parts.event_log,
            application=self.parts.application,
        )

    async def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Change the database behind the API's back."""
        async with self.parts.pool.connection() as connection:
            await connection.execute(statement, values)


@dataclasses.dataclass(frozen=True)
class Shop:
    """A project with its first environments, as the use cases make it."""

    project: uuid.UUID
    test: uuid.UUID
    live: uuid.UUID
    database: uuid.UUID
    storage: uuid.UUID

    def id(self, name: str) -> str:
        types = {"project": "Project", "test": "Environment", "live": "Environment"}
        type_name = types.get(name, "ServiceInstance")
        return identifiers.text(type_name=type_name, uuid=getattr(self, name))


@pytest.fixture
async def api(database: str, directory: Path) -> AsyncIterator[Api]:
    found = databases.Database(ledger_dsn=database, provider_dsn=None, provider_address=None)
    wanted = settings.Settings(data_directory=directory)
    async with contextlib.AsyncExitStack() as stack:
        parts = await stack.enter_async_context(
            bootstrap.assembled(settings=wanted, found=found, progress=lambda _: None)
        )
        pool = await stack.enter_async_context(
            psycopg_pool.AsyncConnectionPool(
                database,
                min_size=1,
                open=False,
                kwargs={"autocommit": True, "cursor_factory": CountingCursor},
            )
        )
        built = schema.build(mutation=None)
        yield Api(
            parts=parts,
            schema=built,
            reader=reading.Reader(
                pool=pool,
                event_log=parts.event_log,
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
