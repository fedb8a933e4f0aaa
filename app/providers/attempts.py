"""Runs work on a server that knows no locks: one piece per instance at a time, with a deadline."""

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from app.providers import contract

T = TypeVar("T")

_SESSIONS = 8
_PATIENCE = 2.0  # seconds that calls under way get to end


class GivenUpError(Exception):
    """Whoever wanted the answer has stopped waiting."""


class Attempt:
    """One piece of work; each of its calls asks first whether it is still wanted."""

    def __init__(self, *, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._is_given_up = False

    def give_up(self) -> None:
        """Let no further call go out."""
        self._is_given_up = True

    def require_wanted(self) -> None:
        """Raise GivenUpError if nobody waits any more."""
        # By the clock too: a process that was stopped wakes here before it knows how late it is.
        if self._is_given_up or time.monotonic() > self._end:
            raise GivenUpError


class Attempts:
    """All the work on one server.

    A call that went out cannot be taken back, and the server may carry it out late. So work that
    was given up keeps the instance's lock until its call is answered, and ends before the next.
    """

    def __init__(
        self,
        *,
        server: str,
        deadline: float,
        told: Callable[[BaseException], contract.ProviderError | None],
    ) -> None:
        """Work on `server`, as messages name it; `told` translates the errors of its client."""
        self._server = server
        self._deadline = deadline
        self._told = told
        self._sessions = asyncio.Semaphore(_SESSIONS)
        self._locks: weakref.WeakValueDictionary[UUID, asyncio.Lock] = weakref.WeakValueDictionary()
        self._running: set[asyncio.Task[object]] = set()

    async def run(self, *, service_instance_id: UUID, work: Callable[[Attempt], Awaitable[T]]) -> T:
        """Do the work, or raise ProviderError."""
        attempt = Attempt(seconds=self._deadline)
        task = asyncio.create_task(self._locked(service_instance_id, work, attempt))
        self._running.add(task)
        task.add_done_callback(self._seen)
        try:
            await asyncio.wait({task}, timeout=self._deadline)
        finally:
            attempt.give_up()
        error = task.exception() if task.done() else GivenUpError()
        if isinstance(error, GivenUpError):
            raise contract.ProviderError(
                code=contract.ProviderErrorCode.TIMEOUT,
                message=f"{self._server}: no answer within {self._deadline:g} seconds",
                is_transient=True,
            )
        if error is not None and (said := self._told(error)):
            # Raised here and not while handling: the chain of causes would carry the raw text.
            raise said
        return task.result()

    async def aclose(self) -> None:
        """Let the calls under way end."""
        if self._running:
            await asyncio.wait(self._running, timeout=_PATIENCE)
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=_PATIENCE)

    async def _locked(
        self, service_instance_id: UUID, work: Callable[[Attempt], Awaitable[T]], attempt: Attempt
    ) -> T:
        lock = self._locks.setdefault(service_instance_id, asyncio.Lock())
        async with lock, self._sessions:
            attempt.require_wanted()
            return await work(attempt)

    def _seen(self, task: asyncio.Task[T]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that the event loop does not print it as it is
