"""The end of the log, read once for all who follow it in this process.

A follower that has fallen behind what is remembered reads by itself until it has caught up, so
that a slow one costs no memory.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from app import cancellation
from app.eventlog import epochs, hints
from projections import projection

_logger = logging.getLogger(__name__)
_REMEMBERED = 2000  # events
_PAUSE = 0.5  # seconds
_LONGEST_WAIT = 5.0  # seconds

Wanted = Callable[[projection.RecordedEvent], bool]
"""Tells at once whether an event is of interest."""

Read = Callable[[int], Awaitable[Sequence[projection.RecordedEvent]]]
"""Returns the next events after a position; none if there are none, or nobody can tell."""


@dataclasses.dataclass
class Cursor:
    """How far somebody has come, who may go on from there later."""

    after: int
    seen: epochs.Beginnings | None = None
    """The log that it has been in; the one of now if None."""
    stays: bool = True
    """Does it wait for what comes, or is it done when it has caught up?"""
    has_caught_up: bool = False


@dataclasses.dataclass(eq=False)
class _Follower:
    """Who follows."""

    cursor: Cursor
    wanted: Wanted
    _waiter: asyncio.Future[None] | None = None
    _was_told: bool = False

    def look(self) -> None:
        """Begin to look; what is told from now on may come too late to be seen."""
        self._was_told = False

    async def wait(self) -> None:
        """Wait until there may be something wanted that the last look did not see."""
        if self._was_told:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Let it look for itself."""
        self._was_told = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def tell(self, events: Sequence[projection.RecordedEvent], *, before: int | None) -> None:
        """Wake up if one of the new events is wanted: most are not, and sleep is cheap."""
        is_asleep = self._waiter is not None and not self._waiter.done()
        if is_asleep and self.cursor.after == before and not any(map(self.wanted, events)):
            self.cursor.after = events[-1].position
        else:
            self.wake()


class Tail:
    """The newest events; read as long as somebody follows."""

    def __init__(
        self,
        *,
        hints: hints.Hints,
        epochs: epochs.Epochs,
        read: Read,
        head: Callable[[], Awaitable[int | None]],
    ) -> None:
        self._hints = hints
        self._epochs = epochs
        self._read = read
        self._head = head
        self._followers: set[_Follower] = set()
        self._reading: asyncio.Task[None] | None = None
        self._events: list[projection.RecordedEvent] = []
        self._last: int | None = None

    async def follow(
        self, cursor: Cursor, *, wanted: Wanted
    ) -> AsyncIterator[projection.RecordedEvent]:
        """Move the cursor on; yield every wanted event that it passes, in order.

        Raises LogDivergedError when the log turns out to be another one before the cursor.
        """
        follower = _Follower(cursor, wanted)
        if cursor.seen is None:
            cursor.seen = self._epochs.beginnings
        async with self._followed(follower):
            while not cursor.has_caught_up:
                follower.look()
                events = self._remembered(cursor.after)
                if events is None:
                    events = await self._read(cursor.after)
                self._epochs.require(cursor.after, since=cursor.seen)
                cursor.seen = self._epochs.beginnings
                for event in events:
                    if wanted(event):
                        yield event
                    cursor.after = event.position
                if not events and cursor.stays:
                    await follower.wait()
                elif not events:
                    cursor.has_caught_up = True

    async def stop(self) -> None:
        """Read no more; followers sleep then."""
        reading, self._reading = self._reading, None
        self._events, self._last = [], None
        if reading is not None:
            await cancellation.end(reading)

    @contextlib.asynccontextmanager
    async def _followed(self, follower: "_Follower") -> AsyncIterator[None]:
        self._followers.add(follower)
        if self._reading is None:
            self._reading = asyncio.create_task(self._keep_reading())
        try:
            yield
        finally:
            self._followers.discard(follower)
            if not self._followers:
                await self.stop()

    async def _keep_reading(self) -> None:
        """Read, whatever happens: followers sleep until they are told."""
        async with self._hints.listening() as hint:
            while True:
                try:
                    await self._read_on(hint)
                except Exception:
                    _logger.exception("cannot read the log for its followers; trying again")
                    await asyncio.sleep(_PAUSE)

    async def _read_on(self, hint: asyncio.Event) -> None:
        """Read until the log turns out to be another one."""
        self._events, self._last = [], None
        last, seen = await self._end_of_log(), self._epochs.beginnings
        self._last = last
        for follower in self._followers:
            follower.wake()
        while True:
            hint.clear()
            events = await self._read(self._last)
            if self._epochs.beginnings != seen:
                return
            if events:
                self._remember(events)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LONGEST_WAIT):
                        await hint.wait()

    async def _end_of_log(self) -> int:
        while True:
            position = await self._head()
            if position is not None:
                return position
            await asyncio.sleep(_PAUSE)

    def _remember(self, events: Sequence[projection.RecordedEvent]) -> None:
        self._events = [*self._events, *events][-_REMEMBERED:]
        before, self._last = self._last, events[-1].position
        for follower in self._followers:
            follower.tell(events, before=before)

    def _remembered(self, after: int) -> Sequence[projection.RecordedEvent] | None:
        """Return what follows a position; None if that is remembered no more, or not yet."""
        if self._last is None or after < self._last - len(self._events):
            return None
        # Positions are gapless, so that the distance to the end says where to look.
        beyond = self._last - after
        return self._events[-beyond:] if beyond > 0 else ()
