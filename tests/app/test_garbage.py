"""What stays is looked at no more; cycles made later still go."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from app import garbage


class _Cycle:
    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_was_there_is_left_out() -> None:
    stays = _Cycle()

    garbage.spare_what_stays()

    assert gc.get_freeze_count() > 0
    assert not any(each is stays for each in gc.get_objects())


def test_cycles_made_later_are_found() -> None:
    garbage.spare_what_stays()
    gone = weakref.ref(_Cycle())

    while gone() is not None:
        kept = [_Cycle() for _ in range(10_000)]
        del kept

    assert gone() is None
