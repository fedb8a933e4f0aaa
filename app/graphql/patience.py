"""How long is waited for an answer: some seconds, and no longer than the client does."""

import asyncio
from types import TracebackType
from typing import Self

from starlette import types

from app import timers

_SECONDS = 0.2  # after which it is worth while to look


def watches() -> timers.Timers:
    """Return what begins to watch after a moment."""
    return timers.Timers(_SECONDS)


class ClientLeftError(Exception):
    """Nobody waits for the answer any more."""


class Patience:
    """Ends the block with TimeoutError when time is up, with ClientLeftError if the client leaves.

    One of the `watches` serves both: most blocks end before it does. Without `receive` nobody is
    watched.
    """

    def __init__(
        self, seconds: float, *, watches: timers.Timers, receive: types.Receive | None = None
    ) -> None:
        self._seconds = seconds
        self._watches = watches
        self._receive = receive
        self._task = asyncio.current_task()
        self._timer: timers.Timer | asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._reason: ClientLeftError | TimeoutError | None = None

    def __enter__(self) -> Self:
        """Begin to watch soon."""
        self._timer = self._watches.start(self._begin, within=self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """End watching."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._reason and kind is asyncio.CancelledError and self._task is not None:
            self._task.uncancel()
            raise self._reason from error

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        try:
            async with asyncio.timeout(max(0.0, self._seconds - _SECONDS)):
                await self._client_left()
            self._reason = ClientLeftError()
        except TimeoutError as error:
            self._reason = error
        if self._task is not None:
            self._task.cancel()

    async def _client_left(self) -> None:
        if self._receive is None:
            await asyncio.Future()
        else:
            while (await self._receive())["type"] != "http.disconnect":
                pass
