"""Cancellations that do not get lost.

Before Python 3.12, asyncio.wait_for swallows a cancellation that meets the very moment it
returns, and psycopg's pool waits by it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

_AGAIN = 0.2  # seconds


async def end(task: asyncio.Task[Any], *, grace: float = _AGAIN) -> None:
    """Cancel a task until it has ended, and say nothing of how.

    One that has to tidy up gets more grace: so many seconds until it is cancelled again.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=grace)


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], *, grace: float = _AGAIN) -> AsyncIterator[None]:
    """Do work meanwhile, which ends with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end(task, grace=grace)


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Raise CancelledError at the end of the block if the task was asked to end within it."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    yield
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
