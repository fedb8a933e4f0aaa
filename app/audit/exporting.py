"""The log as lines, many at a time: the database writes them, and we pass its bytes on."""

import dataclasses
import enum
from collections.abc import AsyncIterator, Mapping
from typing import Any

from psycopg import sql

from app.audit import lines
from app.eventlog import connections

_BATCH = 2000  # events, about a megabyte

_HEAD = "SELECT position FROM ledger.head"
_LINES = """
    SELECT max(position), count(*), convert_to(string_agg({frame}, '' ORDER BY position), 'UTF8')
    FROM (
        SELECT e.position, {place} AS place, {line} AS line
        FROM ledger.events AS e CROSS JOIN audit.log AS log
        WHERE e.position > %(after)s AND e.position <= %(until)s AND {condition}
        ORDER BY e.position LIMIT %(limit)s
    ) AS lines
"""
_HASHES = sql.SQL("""
    SELECT max(place) + 1, count(*), convert_to(string_agg(encode(hash, 'hex') || E'\\n', ''
        ORDER BY place), 'UTF8')
    FROM (
        SELECT place, hash FROM audit.nodes WHERE level = 0 AND place >= %(after)s
        ORDER BY place LIMIT %(limit)s
    ) AS leaves
""")


class Framing(enum.Enum):
    """What is around each line."""

    LINES = "line || E'\\n'"
    """Lines of JSON."""
    EVENTS = "'id: ' || place || E'\\ndata: ' || line || E'\\n\\n'"
    """Server-Sent Events."""


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some lines, and up to which position there are no others."""

    position: int
    text: bytes


class Export:
    """Events that fulfil a condition on the rows `e` of ledger.events, framed."""

    def __init__(
        self,
        *,
        framing: Framing = Framing.LINES,
        condition: sql.Composable = sql.SQL("true"),  # noqa: B008  it is never changed
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self._statement = sql.SQL(_LINES).format(
            frame=sql.SQL(framing.value),
            place=sql.SQL(lines.PLACE),
            line=sql.SQL(lines.LINE),
            condition=condition,
        )
        self._values = dict(values or {})

    async def chunk(self, connection: connections.Connection, *, after: int, until: int) -> Chunk:
        """Return the next events after a position; the chunk ends at `until` if these are all."""
        values = self._values | {"after": after, "until": until, "limit": _BATCH}
        position, count, text = await _row(connection, self._statement, values)
        return Chunk(position if count == _BATCH else until, text or b"")


async def head(connection: connections.Connection) -> int:
    """Return the last position."""
    [(position,)] = await (await connection.execute(_HEAD)).fetchall()
    return int(position)


async def leaf_hashes(connection: connections.Connection) -> AsyncIterator[Chunk]:
    """Yield the leaf hashes as far as the tree goes, as hexadecimal lines."""
    after = 0
    while True:
        values = {"after": after, "limit": _BATCH}
        position, _, text = await _row(connection, _HASHES, values)
        if position is None:
            return
        yield Chunk(position, text)
        after = position


async def _row(
    connection: connections.Connection,
    statement: sql.SQL | sql.Composed,
    values: Mapping[str, Any],
) -> tuple[Any, ...]:
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(statement, values)
        [row] = await cursor.fetchall()
    return tuple(row)
