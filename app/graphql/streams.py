"""The streams that are open in this process, and what ends them from this side.

A stream is a WebSocket connection, or one subscription over Server-Sent Events.
"""

import asyncio
import contextlib
import dataclasses
import enum
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, TypeVar, cast

from app import cancellation
from app.access import caller
from app.eventlog import command
from app.graphql import context

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)


class End(enum.Enum):
    """Why a stream ends."""

    STOPPING = "stopping"
    """This process stops; another one, or the next, goes on."""
    EXPIRED = "expired"
    """The token is valid no more, or not for what is streamed."""
    GONE = "gone"
    """The client is not there any more."""


@dataclasses.dataclass(eq=False)
class Stream:
    """A stream that is open; `ended` tells that it shall not be for long."""

    token: str | None
    ended: asyncio.Future[End]
    who: context.Context | None = None
    """Learns what the token's caller may now."""
    chosen_for: caller.Caller | None = None
    """Whoever may see what is streamed; for another it is another stream."""

    def end(self, why: End) -> None:
        """End it, unless it ends already."""
        if not self.ended.done():
            self.ended.set_result(why)


class Streams:
    """Knows the open streams; looks again at intervals at their tokens."""

    def __init__(
        self,
        *,
        authenticate: context.Authenticate,
        renewed: Callable[[caller.Caller], None],
        seconds_between_checks: float,
    ) -> None:
        self._authenticate = authenticate
        self._renewed = renewed
        self._seconds = seconds_between_checks
        self._open: set[Stream] = set()
        self._checking: asyncio.Task[None] | None = None
        self._is_stopping = False

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def open(
        self,
        *,
        token: str | None,
        who: context.Context | None = None,
        chosen_for: caller.Caller | None = None,
    ) -> Iterator[Stream]:
        """Hold a stream of whoever sent the token."""
        ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        stream = Stream(token=token, ended=ended, who=who, chosen_for=chosen_for)
        if self._is_stopping:
            stream.end(End.STOPPING)
        self._open.add(stream)
        if self._checking is None:
            self._checking = asyncio.create_task(self._check())
        try:
            yield stream
        finally:
            self._open.discard(stream)
            if not self._open and self._checking is not None:
                self._checking.cancel()
                self._checking = None

    def stop(self) -> None:
        """End all streams, and those that open from now on."""
        self._is_stopping = True
        for stream in self._open:
            stream.end(End.STOPPING)

    async def _check(self) -> None:
        """Ask for each token once, however many streams it has opened."""
        while True:
            await asyncio.sleep(self._seconds)
            for token in {stream.token for stream in self._open}:
                if token is None:
                    continue
                try:
                    self._look(token, await self._authenticate(token))
                except command.LogUnavailableError:
                    pass  # nobody can tell now; the next time
                except Exception:
                    _logger.exception("cannot look at a token")

    def _look(self, token: str, found: caller.Caller | None) -> None:
        """End the streams of a token that is over; let the others know whose it is now."""
        for stream in self._open:
            if stream.token != token:
                continue
            if found is None or stream.chosen_for not in (None, found):
                stream.end(End.EXPIRED)
            elif stream.who is not None:
                stream.who.caller = found
        if found is not None:
            self._renewed(found)


async def with_silence(
    source: AsyncIterator[_T], *, seconds: float
) -> AsyncGenerator[_T | None, None]:
    """Yield what the source yields, for ever, and None after so many seconds of silence."""
    never = Stream(token=None, ended=asyncio.get_running_loop().create_future())
    items = until_ended(cast("AsyncGenerator[_T, None]", source), stream=never, seconds=seconds)
    async with contextlib.aclosing(items):
        async for item in items:
            yield item


async def until_ended(
    source: AsyncGenerator[_T, None], *, stream: Stream, seconds: float
) -> AsyncGenerator[_T | None, None]:
    """Yield what the source yields, None after so many seconds of silence, until the end."""
    pending: asyncio.Task[_T] | None = None
    try:
        while not stream.ended.done():
            pending = pending or asyncio.create_task(_next(source))
            either: set[asyncio.Future[Any]] = {pending, stream.ended}
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if pending.done():
                result, pending = pending, None
                try:
                    yield result.result()
                except StopAsyncIteration:
                    return
            elif not stream.ended.done():
                yield None
    finally:
        if pending is not None:
            await cancellation.end(pending)
        await source.aclose()


async def _next(source: AsyncGenerator[_T, None]) -> _T:
    return await anext(source)
