"""The log from a position on: what is there, and then, if wanted, what comes.

One statement answers both, so that there is no seam between them. A follower is told how far the
log has come although nothing for it was there. What it has not taken yet is one chunk and the one
read ahead; a slow one catches up when it can.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from app import cancellation
from app.audit import exporting
from app.eventlog import command, connections, epochs, hints

_LONGEST_WAIT = 5.0  # seconds: hints may be lost
_PAUSE = 0.5  # seconds
_logger = logging.getLogger(__name__)


class Feed:
    """Answers from the pool, a statement at a time; nothing is held while a client is slow."""

    def __init__(self, *, pool: connections.Connections, hints: hints.Hints) -> None:
        self._pool = pool
        self._hints = hints
        self._epochs = epochs.Epochs()

    def place(self, position: int) -> str:
        """Return the text of a position, as clients see it."""
        return self._epochs.text(position)

    async def start(self, *, after: epochs.Place | None) -> int:
        """Return the last position there is. Raises LogDivergedError, LogUnavailableError."""

        async def work(connection: connections.Connection) -> int:
            if after is not None:
                await epochs.common_position(connection, after)
            return await self._head(connection)

        return await self._pool.run(work)

    async def read(
        self, export: exporting.Export, *, after: int, until: int
    ) -> AsyncGenerator[exporting.Chunk, None]:
        """Yield the events after a position up to another; the next chunk is read meanwhile.

        Raises LogDivergedError when the log turns out to be another one before that position.
        """
        pending, seen = self._ahead(export, after, until), self._epochs.beginnings
        try:
            while pending is not None:
                chunk = await pending
                self._epochs.require(after, since=seen)
                seen, after = self._epochs.beginnings, chunk.position
                pending = self._ahead(export, chunk.position, until)
                yield chunk
        finally:
            if pending is not None:
                await cancellation.end(pending)
                if not pending.cancelled():
                    pending.exception()  # nobody asks any more; unseen, it would be logged

    async def follow(
        self, export: exporting.Export, *, after: int, until: int | None = None
    ) -> AsyncGenerator[exporting.Chunk, None]:
        """Yield the events after a position, for ever or up to another one, as they come.

        A chunk without text tells of silence: either the log went on, or some seconds passed.
        Raises LogDivergedError when the log turns out to be another one before that position.
        """
        seen = self._epochs.beginnings
        async with self._hints.listening() as hint:
            while until is None or after < until:
                hint.clear()
                head = await self._head_patiently(after)
                self._epochs.require(after, since=seen)
                seen = self._epochs.beginnings
                last = head if until is None else min(head, until)
                if after < last:
                    chunks = self._read_patiently(export, after, last)
                    async with contextlib.aclosing(chunks):
                        async for chunk in chunks:
                            yield chunk
                            after = chunk.position
                elif not await _hinted(hint):
                    yield exporting.Chunk(after, b"")

    def _ahead(
        self, export: exporting.Export, after: int, until: int
    ) -> asyncio.Task[exporting.Chunk] | None:
        async def work(connection: connections.Connection) -> exporting.Chunk:
            chunk = await export.chunk(connection, after=after, until=until)
            await self._epochs.look(connection)
            return chunk

        async def ahead() -> exporting.Chunk:
            return await self._pool.run(work)

        return asyncio.create_task(ahead()) if after < until else None

    async def _read_patiently(
        self, export: exporting.Export, after: int, until: int
    ) -> AsyncGenerator[exporting.Chunk, None]:
        """Read, and stop where the database cannot be reached: whoever follows goes on there."""
        try:
            async with contextlib.aclosing(self.read(export, after=after, until=until)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except command.LogUnavailableError:
            _logger.warning("cannot read the log after %d; following goes on later", after)
            await asyncio.sleep(_PAUSE)

    async def _head_patiently(self, after: int) -> int:
        try:
            return await self._pool.run(self._head)
        except command.LogUnavailableError:
            await asyncio.sleep(_PAUSE)
            return after

    async def _head(self, connection: connections.Connection) -> int:
        head = await exporting.head(connection)
        await self._epochs.look(connection)
        return head


async def _hinted(hint: asyncio.Event) -> bool:
    """Wait for a hint, or for as long as one may be late; tell whether there was silence."""
    try:
        async with asyncio.timeout(_LONGEST_WAIT):
            await hint.wait()
    except TimeoutError:
        return False
    return True
