"""Timers of one length, at little cost for what is done before they end, as nearly all is.

A timer of the event loop takes as long as to parse a small request; these share one.
"""

import asyncio
import math
from collections.abc import Callable


class Timer:
    """Calls back once its time has come, unless it is cancelled."""

    __slots__ = ("_call", "_running")

    def __init__(self, running: "dict[Timer, float]", call: Callable[[], object]) -> None:
        self._running = running
        self._call: Callable[[], object] | None = call

    def cancel(self) -> None:
        """Do not call any more."""
        self._running.pop(self, None)
        self._call = None

    def end(self) -> None:
        """Call back."""
        if self._call is not None:
            self._call()


class Timers:
    """Starts timers of so many seconds, on one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[Timer, float] = {}  # until when; as they began, so they end
        self._next: asyncio.TimerHandle | None = None

    def start(
        self, call: Callable[[], object], *, within: float = math.inf
    ) -> Timer | asyncio.TimerHandle:
        """Call back in so many seconds, or within fewer, by a timer of its own."""
        loop = asyncio.get_running_loop()
        if within < self._seconds:
            return loop.call_later(within, call)
        timer = Timer(self._running, call)
        self._running[timer] = until = loop.time() + self._seconds
        if self._next is None:
            self._next = loop.call_at(until, self._look)
        return timer

    def _look(self) -> None:
        """Call those whose time has come, and look again when that of the next one has."""
        loop, self._next = asyncio.get_running_loop(), None
        while self._running:
            timer, until = next(iter(self._running.items()))
            if until > loop.time():
                self._next = loop.call_at(until, self._look)
                return
            del self._running[timer]
            loop.call_soon(timer.end)  # what one of them raises is not for the others
