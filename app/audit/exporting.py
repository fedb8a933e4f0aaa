"""The log as lines, many at a time: the database writes them, and we pass its bytes on."""

import dataclasses
from collections.abc import AsyncIterator

from psycopg import sql

from app.audit import lines
from app.eventlog import connections

_BATCH = 2000  # events, about a megabyte

_HEAD = "SELECT position FROM ledger.head"
_LINES = sql.SQL("""
    SELECT max(position), convert_to(string_agg(line, E'\\n' ORDER BY position) || E'\\n', 'UTF8')
    FROM (
        SELECT e.position, {line} AS line FROM ledger.events AS e CROSS JOIN audit.log AS log
        WHERE e.position > %(after)s AND e.position <= %(until)s
        ORDER BY e.position LIMIT %(limit)s
    ) AS lines
""").format(line=sql.SQL(lines.LINE))
_HASHES = sql.SQL("""
    SELECT max(place) + 1, convert_to(string_agg(encode(hash, 'hex'), E'\\n' ORDER BY place)
        || E'\\n', 'UTF8')
    FROM (
        SELECT place, hash FROM audit.nodes WHERE level = 0 AND place >= %(after)s
        ORDER BY place LIMIT %(limit)s
    ) AS leaves
""")


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some lines, and the last position among them."""

    position: int
    text: bytes


async def head(connection: connections.Connection) -> int:
    """Return the last position."""
    [(position,)] = await (await connection.execute(_HEAD)).fetchall()
    return int(position)


async def events(
    connection: connections.Connection, *, after: int, until: int
) -> AsyncIterator[Chunk]:
    """Yield the events after a position, up to another one."""
    while chunk := await _chunk(connection, _LINES, after=after, until=until):
        yield chunk
        after = chunk.position


async def leaf_hashes(connection: connections.Connection) -> AsyncIterator[Chunk]:
    """Yield the leaf hashes as far as the tree goes, as hexadecimal lines."""
    after = 0
    while chunk := await _chunk(connection, _HASHES, after=after, until=0):
        yield chunk
        after = chunk.position


async def _chunk(
    connection: connections.Connection, statement: sql.SQL | sql.Composed, *, after: int, until: int
) -> Chunk | None:
    values = {"after": after, "until": until, "limit": _BATCH}
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(statement, values)
        row = await cursor.fetchone()
    return None if row is None or row[0] is None else Chunk(row[0], row[1])
