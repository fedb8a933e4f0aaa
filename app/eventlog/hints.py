"""Hints that the log may have grown: in this process at once, between processes by NOTIFY.

A hint may be lost or be wrong; whoever waits for one also polls.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from app.eventlog import connections

CHANNEL = "stored_events"
"""The stock library's subscriptions to the view of that name listen here as well."""

_PAUSE = 0.5
_logger = logging.getLogger(__name__)


class Hints:
    """The followers of this process, and the one connection that listens for all of them."""

    def __init__(self, *, connect: Callable[[], Awaitable[connections.Connection]]) -> None:
        self._connect = connect
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
        if self._listener is None:
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
            listener.cancel()
            await asyncio.wait([listener])

    async def _listen(self) -> None:
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self.wake()
                    async for _ in connection.notifies():
                        self.wake()
            except connections.LOST as error:
                _logger.info("the listener lost its connection: %s", error)
            await asyncio.sleep(_PAUSE)
