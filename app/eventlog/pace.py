"""How fast parts are folded: by how many processes, and at most how many events a second."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent import futures
from dataclasses import dataclass
from typing import Any

from app.eventlog import folding, parts

_FEW_PARTS = 4  # folded before a process has started
_Folder = parts.Folder | folding.Process


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a rebuild may take of the machine; without a number of events there is no limit."""

    processes: int = 1
    events_per_second: int | None = None

    async def fold(
        self, work: parts.Work, numbers: Sequence[int], *, done: Callable[[], None]
    ) -> None:
        """Fold parts, and tell of each that is done."""
        is_alone = self.processes == 1 or len(numbers) <= _FEW_PARTS
        begin: Callable[[parts.Work], _Folder] = parts.Folder if is_alone else folding.Process
        count = 1 if is_alone else self.processes
        loop, waiting = asyncio.get_running_loop(), iter(numbers)
        seconds = parts.EVENTS * count / (self.events_per_second or float("inf"))

        async def one_after_the_other() -> None:
            thread = futures.ThreadPoolExecutor(max_workers=1)
            begun = thread.submit(begin, work)
            try:
                folder = await asyncio.wrap_future(begun)
                for number in waiting:
                    started = loop.time()
                    await loop.run_in_executor(thread, folder.fold, number)
                    done()
                    await _rest(started + seconds - loop.time())
            finally:
                closing = loop.run_in_executor(thread, _close, begun)
                thread.shutdown(wait=False)  # it ends when it has done what it was asked
                await asyncio.shield(closing)

        await together([one_after_the_other] * count)


UNHURRIED = Pace()
"""One thread of this process."""


async def together(works: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Do all at the same time; when one fails, so do the others."""
    tasks = [asyncio.create_task(work()) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _close(begun: futures.Future[_Folder]) -> None:
    """Close a folder, also one that began when nobody waited for it any more."""
    if not begun.cancelled() and begun.exception() is None:
        begun.result().close()


async def _rest(seconds: float) -> None:
    await asyncio.sleep(seconds)
