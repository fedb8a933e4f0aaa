"""Inclusion and consistency proofs, from the stored nodes."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from app.audit import sealer, tree
from app.eventlog import connections, epochs

_NEWEST = "SELECT size, note, signed_at FROM audit.checkpoints ORDER BY size DESC LIMIT 1"
_COVERING = """
    SELECT size, note, signed_at FROM audit.checkpoints WHERE size >= %s::bigint
    ORDER BY size LIMIT 1
"""


CommonPosition = Callable[[epochs.Place], Awaitable[int]]
"""Returns a position that was read from this log. Raises LogDivergedError."""


class NotCoveredError(Exception):
    """No checkpoint covers what is asked for; the text says what does."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A signed state of the tree."""

    size: int
    note: str
    signed_at: datetime


@dataclasses.dataclass(frozen=True)
class Inclusion:
    """The proof that an event is in the log that a checkpoint signs."""

    position: int
    leaf: bytes
    hashes: tuple[bytes, ...]
    checkpoint: Checkpoint


@dataclasses.dataclass(frozen=True)
class Consistency:
    """The proof that the log of a checkpoint begins with all of an earlier one's."""

    earlier: Checkpoint
    hashes: tuple[bytes, ...]
    checkpoint: Checkpoint


class Proofs:
    """Answers from the database; computes no hash of more than a few nodes.

    A place that a restore of the log has lost is refused with LogDivergedError.
    """

    def __init__(self, *, pool: connections.Connections, common_position: CommonPosition) -> None:
        self._pool = pool
        self._common_position = common_position

    async def checkpoint(self, *, size: int | None = None) -> Checkpoint:
        """Return the checkpoint of a size, the newest one without. Raises NotCoveredError."""

        async def work(connection: connections.Connection) -> Checkpoint:
            return await _checkpoint(connection, size)

        await self._require_known(size)
        return await self._pool.run(work)

    async def inclusion(self, *, position: int, size: int | None = None) -> Inclusion:
        """Prove that an event is in the log of a size, or of the newest checkpoint.

        Raises NotCoveredError.
        """

        async def work(connection: connections.Connection) -> Inclusion:
            checkpoint = await _checkpoint(connection, size)
            if not 0 < position <= checkpoint.size:
                raise NotCoveredError(
                    f"The log of size {checkpoint.size} does not hold position {position}."
                )
            spans = tree.inclusion(leaf=position - 1, size=checkpoint.size)
            own = (position - 1, position)
            leaf, *hashes = await _hashes(connection, [own, *spans])
            return Inclusion(position, leaf, tuple(hashes), checkpoint)

        await self._require_known(size)
        found = await self._pool.run(work)
        if isinstance(position, epochs.Place):
            await self._common_position(position)
        return found

    async def consistency(self, *, earlier: int, size: int | None = None) -> Consistency:
        """Prove that one checkpoint continues an earlier one. Raises NotCoveredError."""

        async def work(connection: connections.Connection) -> Consistency:
            checkpoint = await _checkpoint(connection, size)
            before = await _checkpoint(connection, earlier)
            if before.size > checkpoint.size:
                raise NotCoveredError(f"{earlier} is more than {checkpoint.size}.")
            spans = tree.consistency(earlier=before.size, size=checkpoint.size)
            return Consistency(before, tuple(await _hashes(connection, spans)), checkpoint)

        await self._require_known(earlier)
        await self._require_known(size)
        return await self._pool.run(work)

    async def _require_known(self, size: int | None) -> None:
        """Refuse a size that tells a lost epoch.

        Digits alone are taken as they are: signed notes tell sizes so, and a proof that does not
        fit the root of a note shows that its log was lost.
        """
        if isinstance(size, epochs.Place) and "." in size.text:
            await self._common_position(size)


async def _checkpoint(connection: connections.Connection, size: int | None) -> Checkpoint:
    if size is None:
        cursor = await connection.execute(_NEWEST)
    else:
        cursor = await connection.execute(_COVERING, [size])
    row = await cursor.fetchone()
    if row is None:
        raise NotCoveredError("No checkpoint covers that yet.")
    found = _read(row)
    if size not in (None, found.size):
        raise NotCoveredError(
            f"There is no checkpoint of size {size}; the next one is of size {found.size}."
        )
    return found


def _read(row: tuple[Any, ...]) -> Checkpoint:
    size, note, signed_at = row
    return Checkpoint(size=size, note=note, signed_at=signed_at.astimezone(UTC))


async def _hashes(connection: connections.Connection, spans: Sequence[tree.Span]) -> list[bytes]:
    covering = [tree.covering(span) for span in spans]
    nodes = await sealer.nodes_at(connection, [place for places in covering for place in places])
    return [tree.folded(nodes[place] for place in places) for places in covering]
