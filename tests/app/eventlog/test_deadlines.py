"""Who waits too long is told so, each in time, whatever became of the others."""

import asyncio

import pytest

from app.eventlog import command, deadlines

pytestmark = pytest.mark.anyio

_SECONDS = 0.05


def _waiting() -> deadlines.Outcome:
    return asyncio.get_running_loop().create_future()


async def test_later_ones_are_given_up_too() -> None:
    limits = deadlines.Deadlines(seconds=_SECONDS)
    first, second = _waiting(), _waiting()

    limits.add(first)
    await asyncio.sleep(_SECONDS / 2)
    limits.add(second)

    with pytest.raises(command.LogUnavailableError):
        await first
    assert not second.done()
    with pytest.raises(command.LogUnavailableError):
        await second


async def test_an_outcome_in_time_stays() -> None:
    limits = deadlines.Deadlines(seconds=_SECONDS)
    answered, left, forgotten = _waiting(), _waiting(), _waiting()
    for outcome in (answered, left, forgotten):
        limits.add(outcome)

    answered.set_result(None)
    left.cancel()

    with pytest.raises(command.LogUnavailableError):
        await forgotten
    assert answered.result() is None
    assert left.cancelled()


async def test_who_comes_after_the_end_is_given_up_as_well() -> None:
    limits = deadlines.Deadlines(seconds=_SECONDS)
    written, late = _waiting(), _waiting()
    limits.add(written)
    written.set_result(None)

    limits.stop()
    limits.add(late)

    with pytest.raises(command.LogUnavailableError):
        await late


async def test_waiting_goes_on_after_a_pause() -> None:
    limits = deadlines.Deadlines(seconds=_SECONDS)
    for _ in range(2):
        outcome = _waiting()
        limits.add(outcome)

        with pytest.raises(command.LogUnavailableError):
            await outcome
