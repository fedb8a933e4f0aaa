"""The tree as section 2.1 of RFC 9162 defines it, by recursion over all leaves."""

import hashlib
from collections.abc import Sequence


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = _split(len(leaves))
    return hashlib.sha256(b"\x01" + root(leaves[:middle]) + root(leaves[middle:])).digest()


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = _split(len(leaves))
    if index < middle:
        return [*path(index, leaves[:middle]), root(leaves[middle:])]
    return [*path(index - middle, leaves[middle:]), root(leaves[:middle])]


def proof(earlier: int, leaves: Sequence[bytes]) -> list[bytes]:
    return _subproof(earlier, leaves, is_known=True)


def _subproof(earlier: int, leaves: Sequence[bytes], *, is_known: bool) -> list[bytes]:
    if earlier == len(leaves):
        return [] if is_known else [root(leaves)]
    middle = _split(len(leaves))
    if earlier <= middle:
        left = _subproof(earlier, leaves[:middle], is_known=is_known)
        return [*left, root(leaves[middle:])]
    right = _subproof(earlier - middle, leaves[middle:], is_known=False)
    return [*right, root(leaves[:middle])]


def _split(size: int) -> int:
    middle = 1
    while middle * 2 < size:
        middle *= 2
    return middle
