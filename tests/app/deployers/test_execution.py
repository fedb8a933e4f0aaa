import asyncio
import threading

import pytest

from app.deployers import execution

pytestmark = pytest.mark.anyio


async def test_work_in_a_thread_is_waited_for_however_often_its_caller_is_cancelled() -> None:
    is_over = threading.Event()
    task = asyncio.create_task(execution.in_thread(is_over.wait))
    await asyncio.sleep(0)

    for _ in range(3):
        task.cancel()
        await asyncio.wait([task], timeout=0.05)
    is_running = not task.done()
    is_over.set()
    await asyncio.wait([task])

    assert is_running
    assert task.cancelled()
