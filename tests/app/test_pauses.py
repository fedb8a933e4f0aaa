import itertools

from app.work import pauses


def many(tries: int) -> list[float]:
    return [pauses.growing(tries=tries, first=2.0, longest=60.0) for _ in range(200)]


def test_pauses_grow_to_a_longest_one() -> None:
    middles = [sum(many(tries)) / 200 for tries in range(1, 9)]

    assert all(after > before for before, after in itertools.pairwise(middles[:6]))
    assert all(44 < pause < 76 for tries in (6, 60, 10**9) for pause in many(tries))


def test_those_that_failed_together_do_not_come_back_together() -> None:
    assert all(1.5 <= pause <= 2.5 for pause in many(1))
    assert len(set(many(1))) > 100
