"""A client that goes away: what is read for it is given up."""

import asyncio
from types import TracebackType
from typing import Self

from starlette import types

_SECONDS = 0.2  # after which it is worth while to look


class ClientLeftError(Exception):
    """Nobody waits for the answer any more."""


class Watch:
    """Ends the block with ClientLeftError if the client closes its connection meanwhile."""

    def __init__(self, receive: types.Receive) -> None:
        self._receive = receive
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._has_left = False

    def __enter__(self) -> Self:
        """Begin to watch soon: most blocks end before."""
        self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """End watching."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._has_left and kind is asyncio.CancelledError and self._task is not None:
            self._task.uncancel()
            raise ClientLeftError from error

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._has_left = True
        if self._task is not None:
            self._task.cancel()
