"""An end to waiting, with one timer for all who wait equally long."""

import asyncio
import collections

from app.eventlog import command

Outcome = asyncio.Future[command.Receipt | None]


class Deadlines:
    """Gives outcomes up that are not there after some seconds, with LogUnavailableError.

    A timer for each would take longer than to make its event's row.
    """

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: collections.deque[tuple[float, Outcome]] = collections.deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, outcome: Outcome) -> None:
        """Wait for an outcome, from now on."""
        loop = asyncio.get_running_loop()
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        self._waiting.append((loop.time() + self._seconds, outcome))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look)

    def stop(self) -> None:
        """Keep no timer for those that wait now; nobody does, if all is written."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Give up whose time has come; they are the first, since all wait equally long."""
        loop = asyncio.get_running_loop()
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= loop.time()):
            give_up(self._waiting.popleft()[1])
        self._timer = loop.call_at(self._waiting[0][0], self._look) if self._waiting else None


def give_up(outcome: Outcome) -> None:
    """Tell who waits that the log cannot be reached, unless there is an outcome."""
    if not outcome.done():
        outcome.set_exception(command.LogUnavailableError())
