"""Many who want one thing each are answered by one search.

Nobody waits for company: a search begins at once, and who comes while enough are under way is
in the next one. A search that takes long holds nobody up, unless several do: each has a
connection of the pool, which is there for others too. What goes wrong for many is tried again for
each alone, so that only those suffer whose own it is.
"""

import asyncio
import collections
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from app import timers

_Key = TypeVar("_Key", bound=Hashable)
_Found = TypeVar("_Found")

_PROMPT = 0.02  # seconds, after which others no longer wait for a search
_TOGETHER = 1.0  # seconds that a search for many may take
_MOST_SLOW = 4  # searches that the others do not wait for


@dataclasses.dataclass(eq=False)
class _Search(Generic[_Key, _Found]):
    """What is wanted, and by whom: those who want the same share it."""

    wanted: dict[_Key, list[asyncio.Future[_Found]]] = dataclasses.field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    apart: dict[_Key, "_Search[_Key, _Found]"] = dataclasses.field(default_factory=dict)
    is_slow: bool = False

    def keys(self) -> list[_Key]:
        """Return what somebody still waits for."""
        return [key for key, waiting in self.wanted.items() if not all(map(_is_done, waiting))]

    def left(self, key: _Key) -> None:
        """End the search if nobody waits for it any more."""
        if key in self.apart:
            self.apart[key].left(key)
        elif self.task is not None and not self.keys():
            self.task.cancel()

    def answer(self, key: _Key, found: _Found) -> None:
        for each in self.wanted[key]:
            if not each.done():
                each.set_result(found)

    def fail(self, key: _Key, error: BaseException) -> None:
        for each in self.wanted[key]:
            if not each.done():
                each.set_exception(error)


class Gathering(Generic[_Key, _Found]):
    """Calls `find` with what is wanted by then; it returns as many results, in that order.

    Errors of the classes in `common` concern all: for these nothing is tried again.
    """

    def __init__(
        self,
        find: Callable[[Sequence[_Key]], Awaitable[Sequence[_Found]]],
        *,
        common: tuple[type[Exception], ...] = (),
        at_once: int = 2,
        most: int = 128,
    ) -> None:
        self._find = find
        self._common = common
        self._at_once = at_once
        self._most = most
        self._waiting: collections.deque[_Search[_Key, _Found]] = collections.deque()
        self._beginning = 0
        self._under_way = 0
        self._slow = 0
        self._prompt = timers.Timers(_PROMPT)
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: _Key) -> _Found:
        """Return what is found; whoever is cancelled leaves the search to the others."""
        if not self._waiting or len(self._waiting[-1].wanted) >= self._most:
            self._waiting.append(_Search())
        search = self._waiting[-1]
        future: asyncio.Future[_Found] = asyncio.get_running_loop().create_future()
        search.wanted.setdefault(key, []).append(future)
        self._begin()
        try:
            return await future
        except asyncio.CancelledError:
            search.left(key)
            raise

    def _begin(self) -> None:
        while len(self._waiting) > self._beginning and self._under_way < self._at_once:
            self._beginning += 1
            self._under_way += 1
            task = asyncio.create_task(self._next())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _next(self) -> None:
        """Search for all that was wanted since this was decided."""
        self._beginning -= 1
        search = self._waiting.popleft()
        search.task = asyncio.current_task()
        prompt = self._prompt.start(functools.partial(self._let_others_go, search))
        try:
            await self._search(search)
        finally:
            prompt.cancel()
            if search.is_slow:
                self._slow -= 1
            else:
                self._under_way -= 1
            self._begin()

    def _let_others_go(self, search: _Search[_Key, _Found]) -> None:
        if self._slow < _MOST_SLOW:
            search.is_slow = True
            self._slow += 1
            self._under_way -= 1
            self._begin()

    async def _search(self, search: _Search[_Key, _Found]) -> None:
        keys = search.keys()
        if not keys:
            return
        try:
            if len(keys) == 1:
                found = await self._find(keys)
            else:
                async with asyncio.timeout(_TOGETHER):
                    found = await self._find(keys)
        except Exception as error:  # noqa: BLE001  those who wait are told
            if len(keys) > 1 and not isinstance(error, self._common):
                await self._search_apart(search, keys)
            else:
                for key in keys:
                    search.fail(key, error)
        else:
            for key, value in zip(keys, found, strict=True):
                search.answer(key, value)

    async def _search_apart(self, search: _Search[_Key, _Found], keys: Sequence[_Key]) -> None:
        search.apart = {key: _Search({key: search.wanted[key]}) for key in keys}
        for part in search.apart.values():
            part.task = asyncio.create_task(self._search(part))
        await asyncio.wait([part.task for part in search.apart.values() if part.task])


def _is_done(future: asyncio.Future[_Found]) -> bool:
    return future.done()
