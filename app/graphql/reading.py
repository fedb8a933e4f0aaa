"""Runs compiled statements: one for each operation."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

import graphql
import psycopg
import psycopg_pool
from psycopg import rows as row_factories

from app.application import permissions
from app.eventlog import connections, epochs, log
from app.graphql import past, plan_facts, rows, sharing
from app.graphql.compiler import access, binding, plans

_SECONDS = 5.0
_PATIENCE = 1.0  # for the server to answer the request to stop
_SHARED = 512  # answers of subscriptions
_PLACES = 100_000  # service instances
_ENVIRONMENT = "SELECT environment_id FROM read.service_instances WHERE id = %s"
_logger = logging.getLogger(__name__)

_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"deployment_plan": plan_facts.drawn_up}
)


class ReadTimeoutError(Exception):
    """The statement took too long, and was stopped."""


class Reader:
    """Answers targets from the read models.

    The pool's connections are best in autocommit mode: one statement needs no transaction.
    """

    def __init__(
        self,
        *,
        pool: psycopg_pool.AsyncConnectionPool[Any],
        event_log: log.EventLog,
        schema: graphql.GraphQLSchema,
        seconds: float = _SECONDS,
    ) -> None:
        self._connections = connections.Connections(pool=pool, seconds=seconds + _PATIENCE)
        self._past = past.Past(pool=self._connections, event_log=event_log)
        self._plans = plans.Plans(schema=schema)
        self._seconds = seconds
        self.shared = sharing.Once(remembered=_SHARED)
        """What subscriptions read of the last events."""
        self.places = Places(self._connections)

    def require_readable(self, *, target: plans.Target, bound: binding.Binding) -> None:
        """Raise FORBIDDEN if the target shows services to a caller without the Beta (R1)."""
        caller = bound.caller
        if caller is None or caller.is_in_beta or not permissions.needs_beta_to_read(caller):
            return
        plan = self._plans.plan(target=target, bound=bound)
        if not plan.types.isdisjoint(access.IN_BETA):
            _logger.warning(
                "refused %r (%s) the view of services: FEATURE_NOT_ENABLED",
                *(caller.subject, caller.token_id),
            )
            raise graphql.GraphQLError(
                permissions.BETA_NEEDED,
                extensions={"code": "FORBIDDEN", "reason": "FEATURE_NOT_ENABLED"},
            )

    async def read(self, *, target: plans.Target, bound: binding.Binding) -> rows.Row:
        """Return what the target selects.

        Raises GraphQLError for what the client did wrong, ReadTimeoutError, and
        LogUnavailableError.
        """
        plan = self._plans.plan(target=target, bound=bound)
        if plan.statement is None:
            return {}
        values = plan.values(bound)
        for preparation in plan.preparations:
            request = preparation.request(bound)
            values[preparation.parameter] = await self._then(request)
        answer = rows.parsed(await self._run(plan.statement, values))
        plan.complete(answer, functions=_FUNCTIONS)
        return answer

    async def _then(self, request: object) -> str:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._past.answer(request)
        except TimeoutError as error:
            raise ReadTimeoutError from error

    async def _run(self, statement: bytes, values: Mapping[str, Any]) -> str:
        async def work(connection: connections.Connection) -> str:
            async with connection.cursor(row_factory=row_factories.tuple_row) as cursor:
                try:
                    await cursor.execute(statement, values)
                except psycopg.DatabaseError as error:
                    if error.sqlstate == epochs.DIVERGED:
                        raise epochs.LogDivergedError.of(error) from error
                    raise
                [(text,)] = await cursor.fetchall()
                return str(text)

        try:
            async with asyncio.timeout(self._seconds):
                return await self._connections.run(work)
        except TimeoutError as error:
            raise ReadTimeoutError from error


class Places:
    """The environments of service instances: they belong to them for ever."""

    def __init__(self, connections: connections.Connections) -> None:
        self._connections = connections
        self._found = sharing.Once(remembered=_PLACES)

    def known(self, service_instance_id: UUID) -> UUID | None:
        """Return the environment, if it was asked for before."""
        found: UUID | None = self._found.known(service_instance_id)
        return found

    async def environment_of(self, service_instance_id: UUID) -> UUID | None:
        """Return the environment."""

        async def work(connection: connections.Connection) -> UUID | None:
            async with connection.cursor(row_factory=row_factories.scalar_row) as cursor:
                await cursor.execute(_ENVIRONMENT, [service_instance_id])
                return cast("UUID | None", await cursor.fetchone())

        return await self._found.get(service_instance_id, lambda: self._connections.run(work))
