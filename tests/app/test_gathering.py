import asyncio
from collections.abc import Sequence

import pytest

from app import gathering

pytestmark = pytest.mark.anyio


class Searches:
    """Searches that end when they are told to; knows what they were asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.cancelled: list[list[str]] = []
        self.go = asyncio.Event()

    async def __call__(self, keys: Sequence[str]) -> list[str]:
        self.asked.append(list(keys))
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(list(keys))
            raise
        if "wrong" in keys:
            raise ValueError("wrong")
        return [key.upper() for key in keys]


async def begun(searches: Searches, count: int) -> None:
    async with asyncio.timeout(10):
        while len(searches.asked) < count:  # noqa: ASYNC110  it is called from elsewhere
            await asyncio.sleep(0.001)


def wanted(gathered: gathering.Gathering[str, str], *keys: str) -> list["asyncio.Task[str]"]:
    return [asyncio.create_task(gathered.get(key)) for key in keys]


async def test_first_waits_for_nobody_and_the_next_gather() -> None:
    searches = Searches()
    gathered = gathering.Gathering(searches, at_once=1)

    first = wanted(gathered, "a")
    await begun(searches, 1)
    rest = wanted(gathered, "b", "c", "b")
    await asyncio.sleep(0)
    searches.go.set()

    assert await asyncio.gather(*first, *rest) == ["A", "B", "C", "B"]
    assert searches.asked == [["a"], ["b", "c"]]


async def test_no_search_is_too_large() -> None:
    searches = Searches()
    searches.go.set()
    gathered = gathering.Gathering(searches, most=2)

    assert await asyncio.gather(*wanted(gathered, *"abcde")) == list("ABCDE")
    assert searches.asked == [["a", "b"], ["c", "d"], ["e"]]


async def test_slow_search_holds_nobody_up() -> None:
    searches = Searches()
    gathered = gathering.Gathering(searches, at_once=1)

    slow = wanted(gathered, "a")
    await begun(searches, 1)
    others = wanted(gathered, "b")
    await begun(searches, 2)  # although the first has not ended
    searches.go.set()

    assert await asyncio.gather(*slow, *others) == ["A", "B"]


async def test_few_slow_searches_are_made_beside_each_other() -> None:
    searches = Searches()
    gathered = gathering.Gathering(searches, at_once=1, most=1)

    all_of_them = wanted(gathered, *"abcdefgh")
    await begun(searches, 5)
    await asyncio.sleep(0.1)  # longer than the fifth may hold the others up
    begun_while_slow = len(searches.asked)
    searches.go.set()

    assert await asyncio.gather(*all_of_them) == list("ABCDEFGH")
    assert begun_while_slow == 5


async def test_what_is_wrong_for_one_is_right_for_the_others() -> None:
    searches = Searches()
    searches.go.set()
    gathered = gathering.Gathering(searches)

    found = await asyncio.gather(*wanted(gathered, "a", "wrong", "b"), return_exceptions=True)

    assert (found[0], found[2]) == ("A", "B")
    assert isinstance(found[1], ValueError)
    assert searches.asked == [["a", "wrong", "b"], ["a"], ["wrong"], ["b"]]


async def test_what_is_wrong_for_all_is_not_tried_again() -> None:
    searches = Searches()
    searches.go.set()
    gathered = gathering.Gathering(searches, common=(ValueError,))

    found = await asyncio.gather(*wanted(gathered, "a", "wrong"), return_exceptions=True)

    assert [type(each) for each in found] == [ValueError, ValueError]
    assert len(searches.asked) == 1


async def test_search_that_takes_too_long_for_many_is_done_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "_TOGETHER", 0.01)
    searches = Searches()
    gathered = gathering.Gathering(searches)

    both = wanted(gathered, "a", "b")
    await begun(searches, 3)
    searches.go.set()

    assert await asyncio.gather(*both) == ["A", "B"]
    assert searches.cancelled == [["a", "b"]]
    assert searches.asked[1:] == [["a"], ["b"]]


async def test_whoever_leaves_leaves_the_search_to_the_others() -> None:
    searches = Searches()
    gathered = gathering.Gathering(searches)
    leaves, stays = wanted(gathered, "a", "b")
    await begun(searches, 1)

    leaves.cancel()
    await asyncio.wait([leaves])
    searches.go.set()

    assert await stays == "B"
    assert searches.cancelled == []


async def test_search_that_nobody_waits_for_ends() -> None:
    searches = Searches()
    gathered = gathering.Gathering(searches)
    tasks = wanted(gathered, "a", "b")
    await begun(searches, 1)

    for each in tasks:
        each.cancel()
    await asyncio.wait(tasks)
    async with asyncio.timeout(10):
        while not searches.cancelled:  # noqa: ASYNC110  it is called from elsewhere
            await asyncio.sleep(0.001)

    assert searches.cancelled == [["a", "b"]]
    searches.go.set()
    assert await gathered.get("c") == "C"


async def test_whoever_left_before_it_began_is_not_searched_for() -> None:
    searches = Searches()
    gathered = gathering.Gathering(searches)
    leaves, stays = wanted(gathered, "a", "b")
    await asyncio.sleep(0)
    leaves.cancel()
    searches.go.set()

    assert await stays == "B"
    assert searches.asked in ([["b"]], [["a", "b"]])
