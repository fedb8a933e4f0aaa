"""Runs compiled statements: one for each operation."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID

import graphql
import psycopg
import psycopg_pool

from app import gathering, personal_texts
from app.access import caller, tokens
from app.application import permissions
from app.eventlog import command, connections, epochs, log
from app.graphql import past, plan_facts, rows, sharing
from app.graphql.compiler import access, binding, plans

_SECONDS = 10.0
_OPEN_WITHIN = 10.0
_RECONNECT = 1.0
_PATIENCE = 1.0  # for the server to answer the request to stop
_SHARED = 512  # answers of subscriptions
_PLACES = 100_000  # service instances
_ENVIRONMENT = b"SELECT environment_id FROM read.service_instances WHERE id = $1"
_logger = logging.getLogger(__name__)

_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"deployment_plan": plan_facts.drawn_up}
)


def pool(conninfo: str, *, size: int) -> psycopg_pool.AsyncConnectionPool[Any]:
    """Return connections for a reader."""
    return connections.Pool(
        conninfo,
        min_size=min(2, size),
        max_size=size,
        timeout=_OPEN_WITHIN,
        reconnect_timeout=_RECONNECT,  # then whoever asks next tries anew: no long back-off
        configure=_configure,
        # One statement needs no transaction; and it is written as PostgreSQL wants it.
        kwargs={"autocommit": True, "cursor_factory": psycopg.AsyncRawCursor},
        open=False,
    )


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    """Plan each statement once: its parameters are rows, of which the planner knows nothing."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute("SET jit = off")
    # A bitmap, which suits the average history, reads and sorts all of a long one for a page of it.
    await connection.execute("SET enable_bitmapscan = off")


class Reader:
    """Answers targets from the read models, through the connections of a `pool`."""

    def __init__(
        self,
        *,
        pool: psycopg_pool.AsyncConnectionPool[Any],
        event_log: log.EventLog,
        texts: personal_texts.PersonalTexts,
        schema: graphql.GraphQLSchema,
        seconds: float = _SECONDS,
    ) -> None:
        self._connections = connections.Connections(pool=pool, seconds=seconds + _PATIENCE)
        self._past = past.Past(pool=self._connections, event_log=event_log)
        self._texts = texts
        self._plans = plans.Plans(schema=schema)
        self.seconds = seconds
        """How long a read may take."""
        self.shared = sharing.Once(remembered=_SHARED)
        """What subscriptions read of the last events."""
        self.places = Places(self._connections)

    def require_readable(self, *, target: plans.Target, bound: binding.Binding) -> None:
        """Raise FORBIDDEN if the target shows services to a caller without the Beta (R1)."""
        who = bound.caller
        if who is None or not lacks_beta(who):
            return  # nobody is refused elsewhere
        if self._plans.plan(target=target, bound=bound).types.isdisjoint(access.IN_BETA):
            return
        _logger.warning(
            "refused %r (%s) the view of services: FEATURE_NOT_ENABLED",
            *(who.subject, who.token_id),
        )
        raise graphql.GraphQLError(
            permissions.BETA_NEEDED,
            extensions={"code": "FORBIDDEN", "reason": "FEATURE_NOT_ENABLED"},
        )

    async def read(self, *, target: plans.Target, bound: binding.Binding) -> rows.Read:
        """Return what the target selects, with what people wrote opened.

        Raises GraphQLError for what the client did wrong, TimeoutError after `seconds`, and
        LogUnavailableError.
        """
        plan = self._plans.plan(target=target, bound=bound)
        async with asyncio.timeout(self.seconds):
            sealed = await self._sealed(plan=plan, row=plan.row(bound), bound=bound)
        opened = await self._opened(sealed, bound)
        found = rows.Read(rows.parsed(opened))
        found.is_lasting = opened == sealed
        return found

    def plan(self, *, target: plans.Target, bound: binding.Binding) -> plans.Plan:
        """Return the plan for these values. Raises GraphQLError for what the client did wrong."""
        return self._plans.plan(target=target, bound=bound)

    async def text(self, *, plan: plans.Plan, row: plans.Row, bound: binding.Binding) -> str:
        """Return what the plan selects with the parameters of `row`, as JSON; likewise.

        It is for who calls it to wait no longer than `seconds`, and to let a remembered caller
        sign in: raises UnprovenError where its token tells something else by now.
        """
        sealed = await self._sealed(plan=plan, row=row, bound=bound)
        return await self._opened(sealed, bound)

    async def _sealed(self, *, plan: plans.Plan, row: plans.Row, bound: binding.Binding) -> str:
        if plan.statement is None:
            return "{}"
        for each in plan.preparations:
            row = (*row, await self._past.answer(each.request(bound)))
        if plan.runs is None:
            plan.runs = self._runs(plan)
        proof = None if bound.caller is None else bound.caller.proof
        text = await plan.runs.get((proof, row))
        if text is None:
            raise caller.UnprovenError
        if not plan.computations:
            return text
        tree = rows.parsed(text)
        plan.complete(tree, functions=_FUNCTIONS)
        return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))

    async def _opened(self, text: str, bound: binding.Binding) -> str:
        """Return a text with what people wrote, where the caller may see it."""
        if personal_texts.MARK not in text:
            return text
        seen = access.place_visible_to(bound.caller, personal_texts.PLACE)
        return await self._texts.opened(text, seen=personal_texts.Seen(*seen))

    def _runs(self, plan: plans.Plan) -> gathering.Gathering[plans.Asked, str | None]:
        async def run(asked: Sequence[plans.Asked]) -> list[str | None]:
            return await self._run(plan, asked)

        return gathering.Gathering(run, common=(command.LogUnavailableError,))

    async def _run(self, plan: plans.Plan, asked: Sequence[plans.Asked]) -> list[str | None]:
        """Return the answers in order; None for who is not proven to be who it was."""
        values = plan.arguments([row for _, row in asked])
        statement = plan.statement or b""
        hashes = {proof.token_hash for proof, _ in asked if proof is not None}
        if hashes:
            statement = plan.proving
            values.append(tokens.given(hashes))
        try:
            found = await self._connections.ask(statement, values)
        except psycopg.DatabaseError as error:
            if error.sqlstate == epochs.DIVERGED:
                raise epochs.LogDivergedError.of(error) from error
            raise
        told = {row[2]: row[1] for row in found if row[0] == "0"}
        answers = {row[0]: row[1] for row in found}
        are_proven = [
            proof is None or told.get(proof.token_hash) == proof.told for proof, _ in asked
        ]
        return [
            answers[str(place)] if is_proven else None
            for place, is_proven in enumerate(are_proven, start=1)
        ]


def lacks_beta(who: caller.Caller | None) -> bool:
    """Is the caller one to whom services are not shown (R1)?"""
    return who is not None and not who.is_in_beta and permissions.needs_beta_to_read(who)


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

        async def environment_id() -> UUID | None:
            found = await self._connections.ask(_ENVIRONMENT, [str(service_instance_id)])
            return UUID(found[0][0]) if found else None

        return await self._found.get(service_instance_id, environment_id)
