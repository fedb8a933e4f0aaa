"""Lets a command in, or refuses it, before anything is decided: a repeated one too.

What is asked is how the caller stands to the place now, by the read models, which are written
with the events. What the answer means is said in `permissions`. Each refusal is logged. The same
statement proves that a remembered caller is still who it was.
"""

import enum
import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, LiteralString
from uuid import UUID

import psycopg_pool
from psycopg import sql

from app import gathering
from app.access import tokens
from app.access.caller import Caller, Proof, Role
from app.application import permissions
from app.application.permissions import Action, Standing
from app.application.request import Request
from app.eventlog import asking, command, connections
from domain import errors
from domain.errors import RefusalCode

_SECONDS = 5.0
_Key = tuple[UUID, str, Proof | None]
_Found = tuple[str | None, asking.Row]  # what the token tells now, and how its subject stands
_logger = logging.getLogger(__name__)


class Place(enum.Enum):
    """What an action is about, and what is said if it is not there."""

    PROJECT = (RefusalCode.PROJECT_NOT_FOUND, "project")
    ENVIRONMENT = (RefusalCode.ENVIRONMENT_NOT_FOUND, "environment")
    SERVICE = (RefusalCode.SERVICE_NOT_FOUND, "service")
    DEPLOYMENT = (RefusalCode.NO_DEPLOYMENT_IN_PROGRESS, "deployment")


_PLACES: Mapping[Place, LiteralString] = MappingProxyType(
    {
        Place.PROJECT: """
            SELECT id AS project_id, false AS protected FROM read.projects WHERE id = asked.id
            LIMIT 1""",
        Place.ENVIRONMENT: """
            SELECT project_id, protected FROM read.environments WHERE id = asked.id LIMIT 1""",
        Place.SERVICE: """
            SELECT s.project_id, e.protected FROM read.service_instances AS s
            JOIN read.environments AS e ON e.id = s.environment_id WHERE s.id = asked.id
            LIMIT 1""",
        Place.DEPLOYMENT: """
            SELECT project_id, false AS protected FROM read.deployments WHERE id = asked.id
            LIMIT 1""",
    }
)
# As `asking` says, it is planned once.
_STANDING: LiteralString = """
    SELECT asked.number, place.project_id::text, place.protected::int::text,
        (SELECT m.role FROM read.members AS m
            WHERE m.project_id = place.project_id AND m.subject = asked.subject),
        coalesce((SELECT 1 FROM read.people AS p
            WHERE p.subject = asked.subject AND p.in_beta LIMIT 1), 0)::text
    FROM unnest((SELECT $1::uuid[]), (SELECT $2::text[])) WITH ORDINALITY
        AS asked (id, subject, number) LEFT JOIN LATERAL ({place}) AS place ON true
"""
# Place 0 in the list has what the tokens tell.
_TOLD = b" UNION ALL SELECT 0, hash, told, NULL, NULL FROM (%b) AS t" % tokens.told("$3").encode()
_STATEMENTS = MappingProxyType(
    {
        place: sql.SQL(_STANDING).format(place=sql.SQL(found)).as_bytes()
        for place, found in _PLACES.items()
    }
)
_TELL = tokens.told("$1").encode()
_BETA = b"SELECT EXISTS (SELECT 1 FROM read.people WHERE subject = $1 AND in_beta)::int"


class Admission:
    """Asks how a caller stands to a place, and lets permissions decide."""

    def __init__(self, *, pool: psycopg_pool.AsyncConnectionPool[Any], is_beta_over: bool) -> None:
        self._connections = connections.Connections(pool=pool, seconds=_SECONDS)
        self._is_beta_over = is_beta_over
        self._found = {place: self._gathering(place) for place in Place}

    async def admit_to(
        self, place: Place, place_id: UUID, *, request: Request, action: Action
    ) -> None:
        """Let the command in. Raises FEATURE_NOT_ENABLED, the place's NOT_FOUND or FORBIDDEN.

        Raises UnprovenError where a remembered caller has to sign in; it is proven otherwise.
        """
        caller = request.caller
        if caller is None:
            return  # the system itself: a worker, a receiver, the command line
        key = (place_id, caller.subject, caller.proof)
        told, (project_id, protected, role, in_beta) = await self._found[place].get(key)
        caller.settle(told)
        with _Logged(caller, action, place_id):
            is_in_beta = in_beta == "1" or self._is_beta_over
            permissions.require_beta(action=action, is_in_beta=is_in_beta)
            standing = None
            if project_id is not None:
                standing = Standing(
                    project_id=UUID(project_id),
                    membership=None if role is None else Role[role],
                    is_protected=protected == "1",
                )
            if standing is None or not permissions.sees(caller=caller, standing=standing):
                raise errors.NotFoundRefusedError(
                    code=place.value[0],
                    message=f"There is no such {place.value[1]}.",
                    given_id=place_id.hex,
                )
            permissions.require_at(action=action, caller=caller, standing=standing)

    async def admit(self, *, request: Request, action: Action) -> None:
        """Let in what is about no place. Raises FEATURE_NOT_ENABLED or FORBIDDEN; likewise."""
        caller = request.caller
        if caller is None:
            return
        if caller.proof is None:
            is_in_beta = await self.is_in_beta(caller.subject)
        else:
            told = await self._connections.ask(_TELL, [tokens.given([caller.proof.token_hash])])
            caller.settle(told[0][1] if told else None)
            is_in_beta = caller.is_in_beta
        with _Logged(caller, action, None):
            permissions.require_beta(action=action, is_in_beta=is_in_beta)
            permissions.require_on_platform(action=action, caller=caller)

    async def is_in_beta(self, subject: str) -> bool:
        """Has the person signed up for Beta features, or has the Beta ended?"""
        if self._is_beta_over:
            return True
        [(in_beta,)] = await self._connections.ask(_BETA, [subject])
        return bool(in_beta == "1")

    def _gathering(self, place: Place) -> gathering.Gathering[_Key, _Found]:
        """Return what asks for all commands of a moment at once."""

        async def found(keys: Sequence[_Key]) -> list[_Found]:
            ids, subjects, proofs = zip(*keys, strict=True)
            statement = _STATEMENTS[place]
            given = [asking.array(map(str, ids)), asking.array(subjects)]
            hashes = {proof.token_hash for proof in proofs if proof is not None}
            if hashes:
                statement += _TOLD
                given.append(tokens.given(hashes))
            rows = await self._connections.ask(statement, given)
            told = {row[1]: row[2] for row in rows if row[0] == "0"}
            standings = {row[0]: row[1:] for row in rows}
            return [
                (told.get(proof.token_hash) if proof else None, standings[str(number)])
                for number, proof in enumerate(proofs, start=1)
            ]

        return gathering.Gathering(found, common=(command.LogUnavailableError,))


class _Logged:
    """Logs a refusal on its way out."""

    def __init__(self, caller: Caller, action: Action, place_id: UUID | None) -> None:
        self._told = (caller.subject, caller.token_id, action.name, place_id)

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, errors.RefusedError):
            _logger.warning("refused %r (%s) %s at %s: %s", *self._told, error.code.value)
