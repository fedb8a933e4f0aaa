"""The Merkle tree of RFC 9162: which nodes an event adds, which ones a proof is made of.

Only complete subtrees are nodes, named by level and place: they never change. Everything else,
the root included, is folded from them.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import TypeAlias

Place: TypeAlias = tuple[int, int]
"""Level and place on the level: the subtree over leaves from place * 2**level."""

Span: TypeAlias = tuple[int, int]
"""Leaves from the first up to, without, the second."""

EMPTY = hashlib.sha256().digest()
"""The root of a tree without leaves."""


def parent(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the complete subtrees that its root is folded from."""

    def __init__(self, *, size: int, nodes: Mapping[Place, bytes]) -> None:
        self.size = size
        self._peaks = [(place, nodes[place]) for place in covering((0, size))]

    def add(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Take a leaf hash in; return the nodes that this completes, with level and place."""
        level, place, node = 0, self.size, leaf
        completed = [(level, place, node)]
        while self._peaks and self._peaks[-1][0][0] == level:
            _, left = self._peaks.pop()
            level, place, node = level + 1, place // 2, parent(left, node)
            completed.append((level, place, node))
        self._peaks.append(((level, place), node))
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        return folded(node for _, node in self._peaks) if self._peaks else EMPTY


def covering(span: Span) -> list[Place]:
    """Return the complete subtrees that make up a span, from left to right."""
    start, end = span
    places = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        places.append((level, start >> level))
        start += 1 << level
    return places


def folded(nodes: Iterable[bytes]) -> bytes:
    """Return the hash of a span from the subtrees that make it up."""
    *before, node = nodes
    for left in reversed(before):
        node = parent(left, node)
    return node


def inclusion(*, leaf: int, size: int) -> list[Span]:
    """Return whose hashes prove that a leaf is in the tree of that size, nearest first."""
    start, end = 0, size
    spans = []
    while end - start > 1:
        middle = start + _split(end - start)
        if leaf < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def consistency(*, earlier: int, size: int) -> list[Span]:
    """Return whose hashes prove that the earlier tree is the beginning of the one of that size."""
    start, end = 0, size
    spans = []
    is_known = True  # the verifier has the root of the earlier tree, if it is one subtree
    while end != earlier:
        middle = start + _split(end - start)
        if earlier <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start, is_known = middle, False
    if not is_known:
        spans.append((start, end))
    return spans[::-1]


def _split(width: int) -> int:
    """Return the largest power of two below the width."""
    return 1 << ((width - 1).bit_length() - 1)
