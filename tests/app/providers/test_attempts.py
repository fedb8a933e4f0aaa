import asyncio
import uuid

import pytest

from app.providers import attempts, contract

pytestmark = pytest.mark.anyio

DEADLINE = 10.0


class TroubleError(Exception):
    pass


def told(error: BaseException) -> contract.ProviderError | None:
    if not isinstance(error, TroubleError):
        return None
    return contract.ProviderError(
        code=contract.ProviderErrorCode.UNAVAILABLE, message="trouble", is_transient=True
    )


def made(*, deadline: float = DEADLINE) -> attempts.Attempts:
    return attempts.Attempts(server="The server", deadline=deadline, told=told)


async def test_work_returns_what_it_finds() -> None:
    async def work(attempt: attempts.Attempt) -> str:
        attempt.require_wanted()
        return "found"

    assert await made().run(service_instance_id=uuid.uuid4(), work=work) == "found"


async def test_known_errors_are_translated_without_their_cause() -> None:
    async def work(_: attempts.Attempt) -> None:
        raise TroubleError

    with pytest.raises(contract.ProviderError) as caught:
        await made().run(service_instance_id=uuid.uuid4(), work=work)

    assert caught.value.__context__ is None


async def test_other_errors_stay_as_they_are() -> None:
    async def work(_: attempts.Attempt) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await made().run(service_instance_id=uuid.uuid4(), work=work)


async def test_work_past_its_deadline_ends_before_its_next_call() -> None:
    hurried, answered, calls = made(deadline=0.01), asyncio.Event(), []

    async def work(attempt: attempts.Attempt) -> None:
        for number in range(2):
            attempt.require_wanted()
            calls.append(number)
            await answered.wait()

    with pytest.raises(contract.ProviderError, match=r"no answer within 0\.01 seconds") as caught:
        await hurried.run(service_instance_id=uuid.uuid4(), work=work)
    answered.set()
    await hurried.aclose()

    assert (caught.value.code, caught.value.is_transient) == ("PROVIDER_TIMEOUT", True)
    assert calls == [0]


def test_a_process_that_wakes_up_late_asks_nothing_more() -> None:
    late = attempts.Attempt(seconds=-1)

    with pytest.raises(attempts.GivenUpError):
        late.require_wanted()


async def test_an_instance_has_one_piece_of_work_at_a_time() -> None:
    service_instance_id, shared, under_way, most = uuid.uuid4(), made(), 0, 0

    async def work(_: attempts.Attempt) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    await asyncio.gather(
        *(shared.run(service_instance_id=service_instance_id, work=work) for _ in range(5))
    )

    assert most == 1


async def test_cancelled_work_holds_its_instance_until_its_call_is_answered() -> None:
    service_instance_id, shared, begun = uuid.uuid4(), made(), asyncio.Event()
    answered, order = asyncio.Event(), []

    async def slow(_: attempts.Attempt) -> None:
        begun.set()
        await answered.wait()
        order.append("slow")

    async def next_one(_: attempts.Attempt) -> None:
        order.append("next")

    first = asyncio.create_task(shared.run(service_instance_id=service_instance_id, work=slow))
    await begun.wait()
    first.cancel()
    await asyncio.wait({first})
    second = asyncio.create_task(shared.run(service_instance_id=service_instance_id, work=next_one))
    await asyncio.sleep(0)
    answered.set()
    await second

    assert first.cancelled()
    assert order == ["slow", "next"]


async def test_closing_ends_calls_that_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_PATIENCE", 0.01)
    hurried = made(deadline=0.01)

    async def work(_: attempts.Attempt) -> None:
        await asyncio.Event().wait()

    with pytest.raises(contract.ProviderError):
        await hurried.run(service_instance_id=uuid.uuid4(), work=work)
    await hurried.aclose()

    assert not hurried._running
