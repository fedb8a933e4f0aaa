"""Proofs, and what an attacker may make of them."""

import dataclasses
import random
from collections.abc import Sequence
from typing import TypeAlias

from app.audit import tree
from app.audit.verification import trees


@dataclasses.dataclass(frozen=True)
class Grown:
    """A tree with all its nodes and all its roots."""

    leaves: list[bytes]
    nodes: dict[tree.Place, bytes]
    roots: list[bytes]

    @classmethod
    def of(cls, leaves: Sequence[bytes]) -> "Grown":
        frontier = tree.Frontier(size=0, nodes={})
        nodes, roots = {}, [frontier.root()]
        for leaf in leaves:
            for level, place, hash_ in frontier.add(leaf):
                nodes[level, place] = hash_
            roots.append(frontier.root())
        return cls(list(leaves), nodes, roots)

    def path(self, index: int, size: int) -> list[bytes]:
        return self._hashes(tree.inclusion(leaf=index, size=size))

    def proof(self, earlier: int, size: int) -> list[bytes]:
        return self._hashes(tree.consistency(earlier=earlier, size=size))

    def _hashes(self, spans: Sequence[tree.Span]) -> list[bytes]:
        return [tree.folded(self.nodes[place] for place in tree.covering(span)) for span in spans]


@dataclasses.dataclass(frozen=True)
class Inclusion:
    index: int
    size: int
    leaf: bytes
    root: bytes
    path: tuple[bytes, ...]

    @classmethod
    def of(cls, grown: Grown, *, index: int, size: int) -> "Inclusion":
        path = tuple(grown.path(index, size))
        return cls(index, size, grown.leaves[index], grown.roots[size], path)

    def is_accepted(self) -> bool:
        return trees.is_included(
            leaf=self.leaf, index=self.index, size=self.size, path=self.path, root=self.root
        )

    def is_true(self, grown: Grown) -> bool:
        """Does the log say so too? Then to accept it is no mistake."""
        return 0 <= self.index < self.size < len(grown.roots) and self == Inclusion.of(
            grown, index=self.index, size=self.size
        )


@dataclasses.dataclass(frozen=True)
class Consistency:
    index: int
    size: int
    leaf: bytes
    root: bytes
    path: tuple[bytes, ...]

    @classmethod
    def of(cls, grown: Grown, *, earlier: int, size: int) -> "Consistency":
        path = tuple(grown.proof(earlier, size))
        return cls(earlier, size, grown.roots[earlier], grown.roots[size], path)

    def is_accepted(self) -> bool:
        return trees.is_consistent(
            earlier=self.index,
            size=self.size,
            path=self.path,
            earlier_root=self.leaf,
            root=self.root,
        )

    def is_true(self, grown: Grown) -> bool:
        return 0 < self.index <= self.size < len(grown.roots) and self == Consistency.of(
            grown, earlier=self.index, size=self.size
        )


Proof: TypeAlias = Inclusion | Consistency


def accepted(grown: Grown, *, count: int, chance: random.Random) -> list[Proof]:
    """Return which of that many mutated proofs are accepted although they are untrue."""
    wrong: list[Proof] = []
    for number in range(count):
        size = chance.randint(1, len(grown.leaves))
        proof: Proof = (
            Inclusion.of(grown, index=chance.randrange(size), size=size)
            if number % 2
            else Consistency.of(grown, earlier=chance.randint(1, size), size=size)
        )
        mutated = _mutated(proof, grown, chance)
        if mutated.is_accepted() and not mutated.is_true(grown):
            wrong.append(mutated)
    return wrong


def _mutated(proof: Proof, grown: Grown, chance: random.Random) -> Proof:
    path = list(proof.path)
    at = chance.randrange(len(path)) if path else 0
    match chance.randrange(11):
        case 0 if path:
            path[at] = _flipped(path[at], chance)
        case 1 if path:
            del path[at]
        case 2:
            path.insert(at, chance.choice([*path, proof.root, proof.leaf, chance.randbytes(32)]))
        case 3 if len(path) > 1:
            other = chance.randrange(len(path))
            path[at], path[other] = path[other], path[at]
        case 4:
            return dataclasses.replace(proof, leaf=_flipped(proof.leaf, chance))
        case 5:
            return dataclasses.replace(proof, root=_flipped(proof.root, chance))
        case 6:
            return dataclasses.replace(proof, index=proof.index + chance.choice((-1, 1, 2, 64)))
        case 7:
            return dataclasses.replace(proof, leaf=chance.choice(grown.leaves))
        case 8:
            return dataclasses.replace(proof, root=chance.choice(grown.roots))
        case 9:
            return dataclasses.replace(proof, path=tuple(path[:-1]), root=path[-1] if path else b"")
        case _:
            path = [each[: chance.randrange(33)] for each in path]
    return dataclasses.replace(proof, path=tuple(path))


def _flipped(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
