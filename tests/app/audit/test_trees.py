"""The writer's tree and the verifier's against the naive one, and against published vectors."""

import random
from collections.abc import Sequence

import pytest

from app.audit import tree
from app.audit.verification import trees
from tests.app.audit import forgery, naive

# The reference tree of Certificate Transparency's own tests (RFC 6962, and RFC 9162 alike).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
PATHS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
PROOFS = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
LARGEST = 70


@pytest.fixture(scope="module")
def grown() -> forgery.Grown:
    return forgery.Grown.of([naive.leaf(bytes([number])) for number in range(LARGEST)])


def hexed(hashes: Sequence[bytes]) -> list[str]:
    return [each.hex() for each in hashes]


def test_roots_are_the_published_ones() -> None:
    frontier, roots = tree.Frontier(size=0, nodes={}), trees.Roots()
    assert frontier.root().hex() == roots.root().hex() == EMPTY

    for leaf, published in zip(LEAVES, ROOTS, strict=True):
        frontier.add(naive.leaf(leaf))
        roots.append(trees.leaf_hash(leaf))

        assert frontier.root().hex() == roots.root().hex() == published


@pytest.mark.parametrize(("index", "size", "published"), PATHS)
def test_inclusion_proofs_are_the_published_ones(
    index: int, size: int, published: list[str]
) -> None:
    made = forgery.Grown.of([naive.leaf(leaf) for leaf in LEAVES])

    assert hexed(made.path(index, size)) == published
    assert trees.is_included(
        leaf=trees.leaf_hash(LEAVES[index]),
        index=index,
        size=size,
        path=[bytes.fromhex(each) for each in published],
        root=bytes.fromhex(ROOTS[size - 1]),
    )


@pytest.mark.parametrize(("earlier", "size", "published"), PROOFS)
def test_consistency_proofs_are_the_published_ones(
    earlier: int, size: int, published: list[str]
) -> None:
    made = forgery.Grown.of([naive.leaf(leaf) for leaf in LEAVES])

    assert hexed(made.proof(earlier, size)) == published
    assert trees.is_consistent(
        earlier=earlier,
        size=size,
        path=[bytes.fromhex(each) for each in published],
        earlier_root=bytes.fromhex(ROOTS[earlier - 1]),
        root=bytes.fromhex(ROOTS[size - 1]),
    )


def test_trees_of_all_small_sizes_are_the_naive_ones(grown: forgery.Grown) -> None:
    for size in range(LARGEST + 1):
        assert grown.roots[size] == naive.root(grown.leaves[:size])


def test_inclusion_proofs_are_the_naive_ones_and_hold(grown: forgery.Grown) -> None:
    for size in range(1, LARGEST + 1, 3):
        for index in range(size):
            path = grown.path(index, size)

            assert path == naive.path(index, grown.leaves[:size])
            assert forgery.Inclusion.of(grown, index=index, size=size).is_accepted()


def test_consistency_proofs_are_the_naive_ones_and_hold(grown: forgery.Grown) -> None:
    for size in range(1, LARGEST + 1, 3):
        for earlier in range(1, size + 1):
            path = grown.proof(earlier, size)

            assert path == naive.proof(earlier, grown.leaves[:size])
            assert forgery.Consistency.of(grown, earlier=earlier, size=size).is_accepted()


def test_a_frontier_goes_on_from_stored_nodes(grown: forgery.Grown) -> None:
    for size in range(LARGEST):
        frontier = tree.Frontier(size=size, nodes=grown.nodes)
        frontier.add(grown.leaves[size])

        assert frontier.root() == grown.roots[size + 1]


def test_no_mutated_proof_is_accepted(grown: forgery.Grown) -> None:
    chance = random.Random(7)  # noqa: S311  the same each time

    assert forgery.accepted(grown, count=20_000, chance=chance) == []
