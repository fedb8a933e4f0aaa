"""End tasks for certain."""

import asyncio

_AGAIN = 0.2  # seconds


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended, and say nothing of how.

    One request may get lost: before Python 3.12, asyncio.wait_for swallows a cancellation that
    meets the very moment it returns, and psycopg waits by it.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN)
