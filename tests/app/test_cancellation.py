import asyncio

import pytest

from app import cancellation

pytestmark = pytest.mark.anyio


async def test_a_task_that_misses_a_cancellation_is_ended_all_the_same() -> None:
    missed: list[str] = []

    async def hard_of_hearing() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            missed.append("a cancellation")
        await asyncio.Event().wait()

    task = asyncio.create_task(hard_of_hearing())
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await cancellation.end(task)

    assert missed == ["a cancellation"]
    assert task.cancelled()
