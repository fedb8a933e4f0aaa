"""How fast parts are folded: by how many processes, and at most how many events a second."""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from multiprocessing import connection as pipes

from app.eventlog import parts

_FEW_PARTS = 4  # folded before a process has started
_own = threading.local()
_OBJECTS_BETWEEN_COLLECTIONS = 100_000  # folding makes no cycles


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a rebuild may take of the machine; without a number of events there is no limit."""

    processes: int = 1
    events_per_second: int | None = None

    async def fold(
        self, work: parts.Work, numbers: Sequence[int], *, done: Callable[[], None]
    ) -> None:
        """Fold parts, and tell of each that is done."""
        loop, waiting = asyncio.get_running_loop(), iter(numbers)
        with self._executor(len(numbers)) as (executor, count):
            seconds = parts.EVENTS * count / (self.events_per_second or float("inf"))

            async def one_after_the_other() -> None:
                for number in waiting:
                    started = loop.time()
                    await loop.run_in_executor(executor, _fold, work, number)
                    done()
                    await _rest(started + seconds - loop.time())

            await asyncio.gather(*(one_after_the_other() for _ in range(count)))

    @contextlib.contextmanager
    def _executor(self, count: int) -> Iterator[tuple[futures.Executor, int]]:
        if self.processes == 1 or count <= _FEW_PARTS:
            with futures.ThreadPoolExecutor(max_workers=1) as thread:
                try:
                    yield thread, 1
                finally:
                    thread.submit(_end).result()
        else:
            executor = _processes(self.processes)
            try:
                yield executor, self.processes
            finally:
                executor.shutdown(cancel_futures=True)


def _fold(work: parts.Work, number: int) -> None:
    """Fold a part over the connection that this thread or process keeps."""
    if not hasattr(_own, "folder"):
        _own.folder = parts.Folder(work)
    _own.folder.fold(number)


def _end() -> None:
    if hasattr(_own, "folder"):
        _own.folder.close()


async def _rest(seconds: float) -> None:
    await asyncio.sleep(seconds)


UNHURRIED = Pace()
"""One thread of this process."""


def _processes(count: int) -> futures.ProcessPoolExecutor:
    return futures.ProcessPoolExecutor(
        max_workers=count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
    )


def _begin() -> None:
    """Make a process ready to fold: it ends with its parent, which alone minds Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        pipes.wait([parent.sentinel])
        os._exit(1)
