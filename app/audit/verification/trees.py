"""Roots and proofs as RFC 9162 defines and verifies them (sections 2.1.1, 2.1.3.2, 2.1.4.2)."""

import hashlib
from collections.abc import Sequence


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Roots:
    """The roots of a list of leaves while it grows: a stack of subtrees, merged when equal."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []

    def append(self, hash_: bytes) -> None:
        """Take the next leaf hash in."""
        trailing_ones = (~self.size & (self.size + 1)).bit_length() - 1
        for _ in range(trailing_ones):
            hash_ = node_hash(self._stack.pop(), hash_)
        self._stack.append(hash_)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._stack:
            return hashlib.sha256(b"").digest()
        root = self._stack[-1]
        for left in self._stack[-2::-1]:
            root = node_hash(left, root)
        return root


def is_included(*, leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether the path proves that the leaf hash is at the index of the tree."""
    if not 0 <= index < size or not _are_hashes(leaf, root, *path):
        return False
    place, last, computed = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            computed = node_hash(sibling, computed)
            while not place & 1 and place != 0:
                place, last = place >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and computed == root


def is_consistent(
    *, earlier: int, size: int, path: Sequence[bytes], earlier_root: bytes, root: bytes
) -> bool:
    """Tell whether the path proves that the earlier tree is the beginning of the later one."""
    if not 0 < earlier <= size or not _are_hashes(earlier_root, root, *path):
        return False
    if earlier == size:
        return not path and earlier_root == root
    hashes = list(path)
    if earlier & (earlier - 1) == 0:
        hashes.insert(0, earlier_root)
    if not hashes:
        return False
    place, last = earlier - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not place & 1 and place != 0:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and before == earlier_root and after == root


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == hashlib.sha256().digest_size for value in values)
