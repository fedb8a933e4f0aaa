"""The one that lets the tree grow after the log, and signs how far it came.

Of all processes one seals: it holds a lock of the connection that it writes through, so that who
loses the connection loses the lock, and cannot write any more. Nodes and checkpoint are one
transaction: there is a checkpoint for every size that the tree was ever left at.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ed25519
from psycopg import sql

from app.audit import lines, signing, tree, witnesses
from app.eventlog import connections

_LOCK = 7_310_579_006
_BATCH = 2000  # events
_URGENT = 1000  # events: as many again may wait already
_PAUSE_IDLE = 0.25  # seconds
_PAUSE_BUSY = 0.5  # seconds: with the work, a second is the longest that an event stays uncovered
_PAUSE_WITHOUT = 1.0  # seconds: somebody else seals, or nobody can
_SECONDS = 30.0  # the longest that one batch may take
_logger = logging.getLogger(__name__)

_TRY_LOCK = "SELECT pg_try_advisory_lock(%s)"
_LOG = "SELECT id FROM audit.log"
_LAST = "SELECT size, note FROM audit.checkpoints ORDER BY size DESC LIMIT 1"
_NODES = """
    SELECT level, place, hash FROM audit.nodes
    JOIN unnest(%s::smallint[], %s::bigint[]) AS wanted (level, place) USING (level, place)
"""
_LEAVES = sql.SQL("""
    SELECT e.position, {leaf} FROM ledger.events AS e CROSS JOIN audit.log AS log
    WHERE e.position > %s ORDER BY e.position LIMIT %s
""").format(leaf=sql.SQL(lines.LEAF))
_INSERT_NODES = """
    INSERT INTO audit.nodes (level, place, hash)
    SELECT * FROM unnest(%s::smallint[], %s::bigint[], %s::bytea[])
"""
_INSERT_CHECKPOINT = "INSERT INTO audit.checkpoints (size, note) VALUES (%s, %s)"


class SealError(Exception):
    """The stored tree is not what was signed: somebody changed it."""


class Sealer:
    """Seals, or waits until it may."""

    def __init__(
        self,
        *,
        pool: connections.Connections,
        key: ed25519.Ed25519PrivateKey,
        told: witnesses.Witnesses,
    ) -> None:
        self._pool = pool
        self._key = key
        self._told = told

    async def run(self) -> None:
        """Seal for ever, whatever happens to the database."""
        async with self._told.telling():
            while True:
                try:
                    async with await self._pool.open(purpose="sealer") as connection:
                        await self._seal_alone(connection)
                except connections.LOST:
                    _logger.warning("the sealer lost the database; it goes on later")
                except Exception:
                    _logger.exception("the log could not be sealed; trying again")
                await asyncio.sleep(_PAUSE_WITHOUT)

    async def _seal_alone(self, connection: connections.Connection) -> None:
        with connections.cut_after(connection, seconds=_SECONDS):
            if not await _is_chosen(connection):
                return
            seal = await Seal.load(connection, key=self._key)
        if seal.note:
            self._told.offer(seal.note)
        while True:
            with connections.cut_after(connection, seconds=_SECONDS):
                count = await seal.extend()
            if count:
                self._told.offer(seal.note)
            if count < _URGENT:
                await asyncio.sleep(_PAUSE_BUSY if count else _PAUSE_IDLE)


class Seal:
    """The tree as far as it was signed, in the hands of the one that may extend it."""

    def __init__(
        self,
        connection: connections.Connection,
        *,
        signer: signing.Signer,
        frontier: tree.Frontier,
        note: str,
    ) -> None:
        self.note = note
        self._connection = connection
        self._signer = signer
        self._frontier = frontier

    @classmethod
    async def load(
        cls, connection: connections.Connection, *, key: ed25519.Ed25519PrivateKey
    ) -> "Seal":
        """Go on from the last checkpoint. Raises SealError."""
        size, note = await _last(connection)
        frontier = tree.Frontier(
            size=size, nodes=await nodes_at(connection, tree.covering((0, size)))
        )
        if note and signing.root_text(frontier.root()) != note.split("\n")[2]:
            raise SealError(f"The stored tree is not what the checkpoint of size {size} signed.")
        signer = signing.Signer(origin=lines.origin(await log_id(connection)), key=key)
        # Before there was a checkpoint, processes may have started with different keys.
        if note and not signer.has_signed(note):
            raise SealError(f"The checkpoint of size {size} was signed with another key than ours.")
        return cls(connection, signer=signer, frontier=frontier, note=note)

    async def extend(self) -> int:
        """Cover the next events; return how many. After an error, load anew."""
        cursor = await self._connection.execute(_LEAVES, [self._frontier.size, _BATCH])
        leaves = await cursor.fetchall()
        if not leaves:
            return 0
        completed = [node for leaf in leaves for node in self._added(*leaf)]
        root = self._frontier.root()
        self.note = self._signer.checkpoint(size=self._frontier.size, root=root)
        levels, places, hashes = (list(column) for column in zip(*completed, strict=True))
        async with self._connection.pipeline(), self._connection.transaction():
            await self._connection.execute(_INSERT_NODES, [levels, places, hashes])
            await self._connection.execute(_INSERT_CHECKPOINT, [self._frontier.size, self.note])
        return len(leaves)

    def _added(self, position: int, leaf: bytes) -> list[tuple[int, int, bytes]]:
        if position != self._frontier.size + 1:
            raise SealError(f"The log has no event {self._frontier.size + 1}, but {position}.")
        return self._frontier.add(leaf)


async def nodes_at(
    connection: connections.Connection, places: Sequence[tree.Place]
) -> dict[tree.Place, bytes]:
    """Return the nodes of the tree at some places. Raises SealError if one is missing."""
    if not places:
        return {}
    columns: list[Any] = [[level for level, _ in places], [place for _, place in places]]
    rows = await (await connection.execute(_NODES, columns)).fetchall()
    found = {(level, place): bytes(hash_) for level, place, hash_ in rows}
    if missing := set(places) - set(found):
        raise SealError(f"The stored tree lacks the nodes {sorted(missing)}.")
    return found


async def log_id(connection: connections.Connection) -> UUID:
    """Return which log this is."""
    [(found,)] = await (await connection.execute(_LOG)).fetchall()
    return UUID(str(found))


async def last_note(connection: connections.Connection) -> str:
    """Return the newest checkpoint, as it was signed; nothing if there is none."""
    _, note = await _last(connection)
    return note


async def _last(connection: connections.Connection) -> tuple[int, str]:
    row = await (await connection.execute(_LAST)).fetchone()
    return row or (0, "")


async def _is_chosen(connection: connections.Connection) -> bool:
    [(is_chosen,)] = await (await connection.execute(_TRY_LOCK, [_LOCK])).fetchall()
    return bool(is_chosen)
