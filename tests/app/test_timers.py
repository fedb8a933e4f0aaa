"""Each timer ends in its time, whatever became of the others."""

import asyncio

import pytest

from app import timers

pytestmark = pytest.mark.anyio

_SECONDS = 0.05


class _Told:
    """Notes when it was called."""

    def __init__(self) -> None:
        self.at: float | None = None
        self._called = asyncio.Event()

    def __call__(self) -> None:
        self.at = asyncio.get_running_loop().time()
        self._called.set()

    async def wait(self) -> None:
        async with asyncio.timeout(5):
            await self._called.wait()


async def test_each_ends_in_its_own_time() -> None:
    some = timers.Timers(_SECONDS)
    first, second = _Told(), _Told()
    begun = asyncio.get_running_loop().time()

    some.start(first)
    await asyncio.sleep(_SECONDS / 2)
    some.start(second)
    await first.wait()
    assert second.at is None
    await second.wait()

    assert first.at is not None
    assert second.at is not None
    assert first.at - begun >= _SECONDS
    assert second.at - begun >= _SECONDS * 1.5


async def test_one_that_was_cancelled_is_never_called() -> None:
    some = timers.Timers(_SECONDS)
    first, cancelled, last = _Told(), _Told(), _Told()
    some.start(first)
    timer = some.start(cancelled)
    some.start(last)

    timer.cancel()
    timer.cancel()
    await last.wait()

    assert first.at is not None
    assert cancelled.at is None


async def test_one_may_cancel_another_that_is_due() -> None:
    some = timers.Timers(_SECONDS)
    cancelled, last = _Told(), _Told()
    started = list[timers.Timer | asyncio.TimerHandle]()

    def first() -> None:
        started[0].cancel()

    some.start(first)
    started.append(some.start(cancelled))
    some.start(last)

    await last.wait()

    assert cancelled.at is None


async def test_what_one_raises_is_not_for_the_others() -> None:
    some, last, raised = timers.Timers(_SECONDS), _Told(), list[object]()
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, told: raised.append(told["exception"]))

    def broken() -> None:
        raise ValueError("broken")

    some.start(broken)
    some.start(last)
    await last.wait()
    loop.set_exception_handler(handler)

    assert [str(error) for error in raised] == ["broken"]


async def test_one_may_end_sooner_than_the_others() -> None:
    some = timers.Timers(60)
    sooner, cancelled = _Told(), _Told()
    begun = asyncio.get_running_loop().time()

    some.start(cancelled, within=_SECONDS / 2).cancel()
    some.start(sooner, within=_SECONDS)
    await sooner.wait()

    assert sooner.at is not None
    assert sooner.at - begun >= _SECONDS
    assert cancelled.at is None


async def test_timers_go_on_after_a_pause() -> None:
    some = timers.Timers(_SECONDS)
    for _ in range(2):
        told = _Told()
        some.start(told)
        await told.wait()

        assert told.at is not None
