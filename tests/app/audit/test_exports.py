"""An exported log that somebody changed: always noticed, and the first bad position is named."""

import random
from collections.abc import Callable

import pytest

from app.audit.verification import exports, notes
from tests.app.audit import naive

SIZES = (1, 4, 5, 17, 40)
MANY = 2000


def line(position: int) -> bytes:
    return b'{"actor":"ada","data":{"n":%d},"position":"%d"}\n' % (position * 7, position)


LINES = [line(position) for position in range(1, 44)]
HASHES = [naive.leaf(each[:-1]) for each in LINES]
CHECKPOINTS = [notes.Checkpoint("log", size, naive.root(HASHES[:size])) for size in SIZES]
ALL = [*CHECKPOINTS, notes.Checkpoint("log", len(LINES), naive.root(HASHES))]


def test_an_unchanged_export_is_confirmed_as_far_as_it_was_signed() -> None:
    report = exports.verify(LINES, checkpoints=CHECKPOINTS, hashes=HASHES)

    assert report == exports.Report(events=43, confirmed=40)


def test_an_edit_is_found_between_two_checkpoints() -> None:
    edited = [*LINES[:9], LINES[9].replace(b"ada", b"eve"), *LINES[10:]]

    report = exports.verify(edited, checkpoints=CHECKPOINTS)

    assert report.confirmed == 5
    assert report.problem == exports.Problem(6, 17, "not the events that were recorded")


def test_an_edit_is_named_by_the_leaf_hashes() -> None:
    edited = [*LINES[:9], LINES[9].replace(b"ada", b"eve"), *LINES[10:]]

    report = exports.verify(edited, checkpoints=CHECKPOINTS, hashes=HASHES)

    assert report.problem == exports.Problem(10, 10, "not the event that was recorded")


def test_forged_leaf_hashes_are_found() -> None:
    edited = [*LINES[:9], LINES[9].replace(b"ada", b"eve"), *LINES[10:]]
    forged = [naive.leaf(each[:-1]) for each in edited]

    report = exports.verify(edited, checkpoints=CHECKPOINTS, hashes=forged)

    assert report.problem == exports.Problem(6, 17, "the leaf hashes are not those of the log")


def test_a_deletion_is_named() -> None:
    report = exports.verify([*LINES[:9], *LINES[10:]], checkpoints=CHECKPOINTS)

    assert report.problem == exports.Problem(10, 10, "event 11 stands in its place")


def test_a_deletion_is_named_by_the_leaf_hashes_even_if_what_follows_is_renumbered() -> None:
    renumbered = [
        each.replace(b'"position":"%d"' % (index + 2), b'"position":"%d"' % (index + 1))
        for index, each in enumerate(LINES[10:], start=9)
    ]

    report = exports.verify([*LINES[:9], *renumbered], checkpoints=CHECKPOINTS, hashes=HASHES)

    assert report.problem == exports.Problem(10, 10, "not the event that was recorded")


def test_what_was_cut_off_is_named() -> None:
    report = exports.verify(LINES[:20], checkpoints=CHECKPOINTS)

    assert report.problem == exports.Problem(
        21, 40, "missing: a checkpoint covers more than the export"
    )


def test_checkpoints_of_a_log_with_two_faces_are_found() -> None:
    other = notes.Checkpoint("log", 17, naive.leaf(b"other"))

    report = exports.verify(LINES, checkpoints=[*CHECKPOINTS, other])

    assert report.problem == exports.Problem(1, 17, "two checkpoints of size 17 differ")


def test_checkpoints_of_two_logs_are_not_mixed() -> None:
    other = notes.Checkpoint("other", 18, naive.root(HASHES[:18]))

    report = exports.verify(LINES, checkpoints=[*CHECKPOINTS, other])

    assert report.problem is not None
    assert "two logs" in report.problem.reason


@pytest.mark.parametrize("text", [b"", b"\n", b"[]\n", b"{}\n", b'{"position":1}\n', b"\xff\n"])
def test_what_is_no_event_is_named(text: bytes) -> None:
    report = exports.verify([*LINES[:2], text], checkpoints=CHECKPOINTS)

    assert report.problem == exports.Problem(3, 3, "no event with a position")


@pytest.mark.parametrize("has_hashes", [False, True])
def test_every_mutation_is_noticed_and_placed(*, has_hashes: bool) -> None:
    chance = random.Random(11)  # noqa: S311  the same each time

    for _ in range(MANY):
        mutated, first = mutation(chance)

        assert is_found(mutated, first, has_hashes=has_hashes), (mutated, first)


def is_found(mutated: list[bytes], first: int, *, has_hashes: bool) -> bool:
    """Tell whether the first bad position is named, or a range of unsigned events that holds it."""
    report = exports.verify(mutated, checkpoints=ALL, hashes=HASHES if has_hashes else None)
    problem = report.problem
    if problem is None or not problem.first <= first <= problem.last or report.confirmed >= first:
        return False
    return not has_hashes or first > len(mutated) or problem.first == problem.last


def mutation(chance: random.Random) -> tuple[list[bytes], int]:
    """Return a changed export, and the first position that is not what was recorded."""
    while True:
        mutated = list(LINES)
        chance.choice(MUTATIONS)(mutated, chance)
        differing = [
            position
            for position, (one, other) in enumerate(zip(mutated, LINES, strict=False), start=1)
            if one.removesuffix(b"\n") != other[:-1]
        ]
        if differing or len(mutated) < len(LINES):
            return mutated, min([*differing, len(mutated) + 1])


def edit(lines: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    where = chance.randrange(len(lines[at]) - 1)
    changed = bytes([lines[at][where] ^ (1 << chance.randrange(8))])
    lines[at] = lines[at][:where] + changed + lines[at][where + 1 :]


def edit_data(lines: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    lines[at] = lines[at].replace(b'"n":', b'"n":%d' % chance.randint(1, 9))


def delete(lines: list[bytes], chance: random.Random) -> None:
    del lines[chance.randrange(len(lines))]


def repeat(lines: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    lines.insert(chance.randrange(len(lines)), lines[at])


def swap(lines: list[bytes], chance: random.Random) -> None:
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def swap_and_renumber(lines: list[bytes], chance: random.Random) -> None:
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    renumber(lines)


def truncate(lines: list[bytes], chance: random.Random) -> None:
    del lines[chance.randrange(len(lines)) :]


def rechain(lines: list[bytes], chance: random.Random) -> None:
    """Take an event out, and make everything after it look as if it had never been."""
    del lines[chance.randrange(len(lines))]
    renumber(lines)
    lines.append(line(len(lines) + 1))


def renumber(lines: list[bytes]) -> None:
    for index, each in enumerate(lines):
        lines[index] = each.partition(b'"position"')[0] + b'"position":"%d"}\n' % (index + 1)


MUTATIONS: tuple[Callable[[list[bytes], random.Random], None], ...] = (
    edit,
    edit_data,
    delete,
    repeat,
    swap,
    swap_and_renumber,
    truncate,
    rechain,
)
