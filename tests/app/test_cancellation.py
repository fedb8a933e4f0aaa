import asyncio
import contextlib

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


async def test_a_task_that_tidies_up_is_left_alone_meanwhile() -> None:
    ended: list[str] = []

    async def tidying_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.5)
            ended.append("tidy")

    task = asyncio.create_task(tidying_up())
    await asyncio.sleep(0)

    await cancellation.end(task, grace=5.0)

    assert ended == ["tidy"]
    assert task.cancelled()


async def test_a_cancellation_that_was_swallowed_is_heeded_at_the_end_of_the_block() -> None:
    went_on: list[str] = []

    async def hard_of_hearing() -> None:
        with cancellation.heeded():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                went_on.append("within")
        went_on.append("after")

    task = asyncio.create_task(hard_of_hearing())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=5)

    assert task.cancelled()
    assert went_on == ["within"]


async def test_an_earlier_cancellation_that_was_dealt_with_is_left_alone() -> None:
    async def tidying_up() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        with cancellation.heeded():
            return "tidy"

    task = asyncio.create_task(tidying_up())
    await asyncio.sleep(0)
    task.cancel()

    assert await task == "tidy"
