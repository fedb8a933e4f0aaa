"""Use cases of API tokens."""

import dataclasses
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg_pool

from app.access import caller as callers
from app.access import tokens
from app.application import people, permissions
from app.application.admission import Admission
from app.application.permissions import Action
from app.application.request import Request
from app.application.unit_of_work import UnitOfWork, commit
from app.eventlog import connections, log
from domain import api_token, errors, values
from domain.errors import RefusalCode

_NAME_LIMIT = 100
_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """A token as it is asked for: whom it speaks for, and how far it reaches."""

    subject: str
    name: str
    roles: frozenset[callers.Role] = frozenset()
    projects: frozenset[UUID] = frozenset()
    expires_at: datetime | None = None
    lifetime: timedelta | None = None
    """Another way to say when it ends."""


class Tokens:
    """API tokens: made, shown once, revoked."""

    def __init__(
        self,
        *,
        event_log: log.EventLog,
        admission: Admission,
        pool: psycopg_pool.AsyncConnectionPool[Any],
    ) -> None:
        self._log = event_log
        self._admission = admission
        self._connections = connections.Connections(pool=pool, seconds=_SECONDS)

    async def create(self, *, request: Request, wanted: Wanted) -> tuple[UUID, str | None, int]:
        """Make a token; return its id, itself and the position.

        It is not told again: None in its place if this command was carried out before.
        """
        await self._admission.admit(request=request, action=Action.CREATE_TOKEN)
        people.require_subject(wanted.subject)
        name = values.text(wanted.name, path="name", limit=_NAME_LIMIT)
        permissions.require_roles(roles=wanted.roles, projects=wanted.projects)
        token_id, secret = request.new_id("token"), tokens.new()

        async def decide(work: UnitOfWork) -> None:
            await work.begin()
            for project_id in wanted.projects:
                await work.project(project_id)
            expires_at = wanted.expires_at
            if wanted.lifetime is not None:
                expires_at = work.now + wanted.lifetime
            _require_future(expires_at, now=work.now)
            await self._keep(token_id, secret)
            made = api_token.ApiToken.create(
                token_id=token_id,
                subject=wanted.subject,
                name=name,
                roles=sorted(role.name for role in wanted.roles),
                projects=sorted(wanted.projects),
                expires_at=expires_at,
                at=work.now,
            )
            work.add(made)

        position = await commit(event_log=self._log, request=request, decide=decide)
        return token_id, secret if await self._is_kept(token_id, secret) else None, position

    async def revoke(self, *, request: Request, token_id: UUID) -> int:
        """End a token at once."""
        await self._admission.admit(request=request, action=Action.REVOKE_TOKEN)

        async def decide(work: UnitOfWork) -> None:
            (await work.token(token_id)).revoke(at=work.now)

        return await commit(event_log=self._log, request=request, decide=decide)

    async def had_operator(self) -> bool:
        """Was there ever an operator's token?"""

        async def work(connection: connections.Connection) -> bool:
            return await tokens.had_operator(connection=connection)

        return await self._connections.run(work)

    async def _keep(self, token_id: UUID, secret: str) -> None:
        async def work(connection: connections.Connection) -> None:
            await tokens.keep(connection=connection, token_id=token_id, token=secret)

        await self._connections.run(work)

    async def _is_kept(self, token_id: UUID, secret: str) -> bool:
        async def work(connection: connections.Connection) -> bool:
            return await tokens.is_kept(connection=connection, token_id=token_id, token=secret)

        return await self._connections.run(work)


def _require_future(expires_at: datetime | None, *, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise errors.InputRefusedError(
            code=RefusalCode.INVALID_INPUT,
            message="The token would have expired already. Choose a later time, or none.",
            path="expiresAt",
        )
