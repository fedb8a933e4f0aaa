"""The API without HTTP, and what the tests ask it about."""

import dataclasses
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
import strawberry
from strawberry.types import ExecutionResult

from app import bootstrap
from app.access import caller
from app.eventlog import asking
from app.graphql import context, identifiers, reading

OPERATOR = caller.Caller(
    subject="ada",
    name="Ada",
    token_id="tok_1",
    roles=frozenset({caller.Role.OPERATOR}),
    is_in_beta=True,
)


class CountingCursor(psycopg.AsyncRawCursor[Any]):
    """Remembers every statement that is sent."""

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Any:  # noqa: ANN401  as psycopg declares it
        text = query.decode() if isinstance(query, bytes) else str(query)
        if not text.startswith("SET "):  # the pool opens a connection when it likes
            COUNTED.append(text)
        return await super().execute(query, params, **options)


COUNTED: list[str] = []


async def counted(
    connection: psycopg.AsyncConnection[Any],
    statement: bytes,
    values: Sequence[str | None] = (),
    *,
    ask: Callable[..., Awaitable[list[asking.Row]]] = asking.ask,
) -> list[asking.Row]:
    """Ask, and remember the statement if the connection's cursors do."""
    if connection.cursor_factory is CountingCursor:
        COUNTED.append(statement.decode())
    return await ask(connection, statement, values)


@dataclasses.dataclass
class Api:
    """The schema over a database, asked without HTTP."""

    parts: bootstrap.Parts
    schema: strawberry.Schema
    reader: reading.Reader
    statements: list[str]

    async def answer(
        self, text: str, /, *, who: caller.Caller | None = OPERATOR, **variables: object
    ) -> ExecutionResult:
        self.statements.clear()
        return await self.schema.execute(
            text, variable_values=variables, context_value=self.context(who)
        )

    async def ask(self, text: str, /, **variables: object) -> Any:  # noqa: ANN401  a JSON tree, or a stream
        """Return the data; there must be no errors."""
        answer = await self.answer(text, **variables)
        assert answer.errors is None, answer.errors
        return answer.data

    async def codes(self, text: str, /, **variables: object) -> list[str]:
        """Return the codes of the errors."""
        answer = await self.answer(text, **variables)
        return [error.extensions["code"] for error in answer.errors or ()]

    async def stream(self, text: str, /, **variables: object) -> Any:  # noqa: ANN401  a JSON tree, or a stream
        return await self.schema.subscribe(
            text, variable_values=variables, context_value=self.context(OPERATOR)
        )

    def context(self, who: caller.Caller | None) -> context.Context:
        return context.Context(
            caller=who,
            reader=self.reader,
            event_log=self.parts.event_log,
            application=self.parts.application,
            proofs=self.parts.audit.proofs,
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
