"""When a token was used last, written now and then: not with every request."""

import asyncio
import logging
import time
from typing import Any
from uuid import UUID

import psycopg
import psycopg_pool

_SECONDS = 60.0  # between two writes for a token
_PAUSE = 0.5  # seconds, in which others come along
_logger = logging.getLogger(__name__)

_WRITE = """
    UPDATE access.tokens AS a SET last_used_at = greatest(a.last_used_at, used.at)
    FROM unnest(%s::uuid[], %s::float8[]) AS u (id, ago),
        LATERAL (SELECT now() - u.ago * interval '1 second' AS at) AS used
    WHERE a.id = u.id
"""


class LastUse:
    """Notes uses; one statement writes those of many tokens, each once a minute at most."""

    def __init__(
        self, *, pool: psycopg_pool.AsyncConnectionPool[Any], seconds: float = _SECONDS
    ) -> None:
        self._pool = pool
        self._seconds = seconds
        self._written: dict[UUID, float] = {}
        self._waiting: dict[UUID, float] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, token_id: UUID) -> None:
        """Note that a token was used now."""
        now = time.monotonic()
        if now - self._written.get(token_id, float("-inf")) < self._seconds:
            return
        self._waiting[token_id] = now
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_soon())

    async def aclose(self) -> None:
        """Write what waits."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _write_soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(_PAUSE)
            await self._write()

    async def _write(self) -> None:
        """Write what waits; what cannot be written is let go: the token works all the same."""
        uses, self._waiting = self._waiting, {}
        now = time.monotonic()
        self._written = {
            token_id: at for token_id, at in self._written.items() if now - at < self._seconds
        } | dict.fromkeys(uses, now)
        try:
            async with self._pool.connection() as connection:
                await connection.execute(_WRITE, [list(uses), [now - at for at in uses.values()]])
        except psycopg.Error:
            _logger.warning("the last use of %d tokens could not be written", len(uses))
