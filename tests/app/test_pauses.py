import itertools
from datetime import UTC, datetime, timedelta

import pytest

from app.work import clock, later, pauses


def many(tries: int) -> list[float]:
    return [pauses.growing(tries=tries, first=2.0, longest=60.0) for _ in range(200)]


def test_pauses_grow_to_a_longest_one() -> None:
    middles = [sum(many(tries)) / 200 for tries in range(1, 9)]

    assert all(after > before for before, after in itertools.pairwise(middles[:6]))
    assert all(44 < pause < 76 for tries in (6, 60, 10**9) for pause in many(tries))


def test_those_that_failed_together_do_not_come_back_together() -> None:
    assert all(1.5 <= pause <= 2.5 for pause in many(1))
    assert len(set(many(1))) > 100


def test_what_is_to_come_by_this_clock_is_put_off() -> None:
    now = datetime.now(UTC)

    for ahead, pause in ((timedelta(seconds=30), 30), (timedelta(hours=1), 60)):
        with pytest.raises(later.AgainLater) as put_off:
            later.not_before(now + ahead)
        assert put_off.value.pause == pytest.approx(pause, abs=5)
    later.not_before(now)


def test_the_clock_of_the_queue_goes_on_from_what_was_read() -> None:
    read = datetime(2001, 1, 1, tzinfo=UTC)
    told = clock.Clock()
    told.set(read)

    first = told.now()
    second = told.now()

    assert read <= first <= second < read + timedelta(minutes=1)
