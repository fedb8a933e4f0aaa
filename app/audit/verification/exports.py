"""An exported file against checkpoints: where it first goes wrong."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Sequence

from app.audit.verification import notes, trees


@dataclasses.dataclass(frozen=True)
class Problem:
    """The first thing that is wrong; one position, or a range that holds it."""

    first: int
    last: int
    reason: str


@dataclasses.dataclass(frozen=True)
class Report:
    """How many events were read, up to which one a checkpoint confirms them, and what is wrong."""

    events: int
    confirmed: int
    problem: Problem | None = None


def verify(
    lines: Iterable[bytes],
    *,
    checkpoints: Sequence[notes.Checkpoint],
    hashes: Sequence[bytes] | None = None,
) -> Report:
    """Compare an export, one event a line from the first one on, with checkpoints of its log.

    A checkpoint tells that something before it is wrong, and the leaf `hashes` of the log, which
    the checkpoints confirm too, tell what.
    """
    wanted = sorted(checkpoints, key=lambda checkpoint: checkpoint.size)
    problem = _disagreement(wanted)
    if problem is None and hashes is not None:
        problem = _wrong_hashes(wanted, hashes)
    if problem is not None:
        return Report(events=0, confirmed=0, problem=problem)
    return _Reading(wanted, hashes).read(lines)


class _Reading:
    """An export being read."""

    def __init__(
        self, checkpoints: Sequence[notes.Checkpoint], hashes: Sequence[bytes] | None
    ) -> None:
        self._checkpoints = list(checkpoints)
        self._hashes = hashes
        self._roots = trees.Roots()
        self._confirmed = 0

    def read(self, lines: Iterable[bytes]) -> Report:
        """Read on until something is wrong."""
        problem = self._compared()
        for line in lines:
            problem = problem or self._line_problem(line)
            if problem is None:
                problem = self._compared()
            if problem is not None:
                return self._report(problem)
        if problem is None and self._checkpoints:
            missing, signed = self._roots.size + 1, self._checkpoints[-1].size
            problem = Problem(missing, signed, "missing: a checkpoint covers more than the export")
        return self._report(problem)

    def _line_problem(self, line: bytes) -> Problem | None:
        """Take a line in, if it can be the next one."""
        index = self._roots.size
        text = line.removesuffix(b"\n")
        position = _position(text)
        if position is None:
            return Problem(index + 1, index + 1, "no event with a position")
        if position.rpartition(".")[2] != str(index + 1):  # its epoch comes first
            return Problem(index + 1, index + 1, f"event {position} stands in its place")
        leaf = trees.leaf_hash(text)
        if self._hashes is not None and index < len(self._hashes) and leaf != self._hashes[index]:
            return Problem(index + 1, index + 1, "not the event that was recorded")
        self._roots.append(leaf)
        return None

    def _compared(self) -> Problem | None:
        """Compare the tree with the checkpoints of its size."""
        while self._checkpoints and self._checkpoints[0].size == self._roots.size:
            if self._checkpoints.pop(0).root != self._roots.root():
                return Problem(
                    self._confirmed + 1, self._roots.size, "not the events that were recorded"
                )
            self._confirmed = self._roots.size
        return None

    def _report(self, problem: Problem | None) -> Report:
        return Report(events=self._roots.size, confirmed=self._confirmed, problem=problem)


def _position(text: bytes) -> str | None:
    try:
        event = json.loads(text)
    except ValueError:
        return None
    position = event.get("position") if isinstance(event, dict) else None
    return position if isinstance(position, str) else None


def _disagreement(checkpoints: Sequence[notes.Checkpoint]) -> Problem | None:
    """Tell whether the log was shown with two faces: two checkpoints of one size that differ."""
    for one, other in itertools.pairwise(checkpoints):
        if one.origin != other.origin:
            return Problem(1, one.size, f"checkpoints of two logs, {one.origin}, {other.origin}")
        if one.size == other.size and one.root != other.root:
            return Problem(1, one.size, f"two checkpoints of size {one.size} differ")
    return None


def _wrong_hashes(
    checkpoints: Sequence[notes.Checkpoint], hashes: Sequence[bytes]
) -> Problem | None:
    roots, confirmed = trees.Roots(), 0
    wanted = list(checkpoints)
    for hash_ in hashes:
        roots.append(hash_)
        while wanted and wanted[0].size == roots.size:
            if wanted.pop(0).root != roots.root():
                return Problem(
                    confirmed + 1, roots.size, "the leaf hashes are not those of the log"
                )
            confirmed = roots.size
    if wanted and wanted[-1].size > roots.size:
        return Problem(roots.size + 1, wanted[-1].size, "missing among the leaf hashes")
    return None
