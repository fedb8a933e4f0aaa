"""From whatever somebody presents to a caller."""

import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg_pool

from app import gathering
from app.access import caller, last_use, oidc, tokens
from app.eventlog import command, connections

_SECONDS = 5.0
_REMEMBERED = 20.0  # seconds, in which a use is not noted
_MOST = 10_000  # tokens that are remembered
_logger = logging.getLogger(__name__)

_IS_IN_BETA = b"SELECT EXISTS (SELECT 1 FROM read.people WHERE subject = $1 AND in_beta)::int"


class _Known(NamedTuple):
    caller: caller.Caller
    proof: caller.Proof
    until: float


class SignIn:
    """Recognises API tokens, and those of an OpenID provider if there is one."""

    def __init__(
        self,
        *,
        pool: psycopg_pool.AsyncConnectionPool[Any],
        provider: oidc.Provider | None,
        is_beta_over: bool,
    ) -> None:
        self._connections = connections.Connections(pool=pool, seconds=_SECONDS)
        self._own = gathering.Gathering(self._callers, common=(command.LogUnavailableError,))
        self._provider = provider
        self._is_beta_over = is_beta_over
        self._last_use = last_use.LastUse(pool=pool)
        self._known: dict[str, _Known] = {}

    async def aclose(self) -> None:
        """Write what is noted, let go of connections."""
        await self._last_use.aclose()
        if self._provider is not None:
            await self._provider.aclose()

    def remembered(self, token: str) -> caller.Caller | None:
        """Return whoever the token spoke for a moment ago, with what has to be proven now."""
        token_hash = tokens.hash_of(token)
        found = None if token_hash is None else self._known.get(token_hash)
        if found is None or found.until < time.monotonic():
            return None
        return found.caller.remembered(found.proof)

    async def authenticate(self, token: str) -> caller.Caller | None:
        """Return whoever the token speaks for; None, and a line in the log, if for nobody.

        Raises LogUnavailableError, also for a provider that is away.
        """
        if token.startswith(tokens.PREFIX):
            found = await self._by_own(token)
        else:
            found = await self._by_provider(token)
        return None if found is None else self._at_its_time(found)

    def _at_its_time(self, found: caller.Caller) -> caller.Caller:
        return dataclasses.replace(found, is_in_beta=True) if self._is_beta_over else found

    async def _by_own(self, token: str) -> caller.Caller | None:
        token_hash = tokens.hash_of(token)
        found = None if token_hash is None else await self._own.get(token_hash)
        if token_hash is None or found is None:
            self._known.pop(token_hash or "", None)
            _logger.info("refused an API token: unknown, expired or revoked")
            return None
        token_id = tokens.parsed_id(found.caller.token_id)
        if token_id is not None:
            self._last_use.note(token_id)
        self._remember(token_hash, found)
        return found.caller

    def _remember(self, token_hash: str, found: tokens.Found) -> None:
        self._known.pop(token_hash, None)
        self._known[token_hash] = _Known(
            self._at_its_time(found.caller),
            caller.Proof(token_hash, found.told),
            time.monotonic() + _REMEMBERED,
        )
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]

    async def _callers(self, hashes: Sequence[str]) -> list[tokens.Found | None]:
        async def work(connection: connections.Connection) -> list[tokens.Found | None]:
            return await tokens.callers(connection=connection, hashes=hashes)

        return await self._connections.run(work)

    async def _by_provider(self, token: str) -> caller.Caller | None:
        if self._provider is None:
            _logger.info("refused a token that is no API token")
            return None
        found = await self._provider.authenticate(token)
        if found is None:
            return None
        [(in_beta,)] = await self._connections.ask(_IS_IN_BETA, [found.subject])
        return dataclasses.replace(found, is_in_beta=in_beta == "1")
