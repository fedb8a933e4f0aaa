"""Hints that the log may have grown: in this process at once, between processes by NOTIFY.

A notification may be lost, so the listener also polls the head, once for all followers.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import psycopg

from app import cancellation
from app.eventlog import connections, reading

CHANNEL = "stored_events"
"""The stock library's subscriptions to the view of that name listen here as well."""

NOTIFY = f"NOTIFY {CHANNEL}".encode()
"""Gives a hint to all processes."""

_POLL = 0.5
_SECONDS = 5.0
_logger = logging.getLogger(__name__)


class Hints:
    """The followers of this process, and the one connection that listens for all of them."""

    def __init__(self, *, pool: connections.Connections) -> None:
        self._pool = pool
        self._followers: set[asyncio.Event] = set()
        self._listener: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Wake every follower of this process."""
        for follower in self._followers:
            follower.set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set by hints; the first follower starts the listener."""
        follower = asyncio.Event()
        self._followers.add(follower)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        try:
            yield follower
        finally:
            self._followers.discard(follower)
            if not self._followers:
                await self.stop()

    async def stop(self) -> None:
        """Stop listening; followers go on by polling."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await cancellation.end(listener)

    async def _listen(self) -> None:
        while True:
            try:
                async with await self._pool.open(purpose="listener") as connection:
                    with connections.cut_after(connection, seconds=_SECONDS):
                        await connection.execute(f"LISTEN {CHANNEL}")
                    await self._watch(connection)
            except psycopg.Error as error:
                # Lost, or to a database whose restore has not come to the log yet.
                _logger.info("the listener lost its connection: %s", error)
            # Nobody watches now: let followers look for themselves.
            self.wake()
            await asyncio.sleep(_POLL)

    async def _watch(self, connection: connections.Connection) -> None:
        """Wake on each notification, and whenever the head is found to have moved."""
        seen = -1
        while True:
            with connections.cut_after(connection, seconds=_SECONDS):
                position = await reading.head(connection)
            if position != seen:
                self.wake()
                seen = position
            async for _ in connection.notifies(timeout=_POLL):
                self.wake()
