"""Rows made anew, compared with the live ones as of one position."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from app.eventlog import connections, tables
from projections import projection

_EXAMPLES = 3
_COLUMNS = (
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) "
    "AND attnum > 0 AND NOT attisdropped"
)
# Sums of hashes take one pass over each table and no sort; they tell that nothing differs.
_SUMS = """
    SELECT
        (SELECT (count(*), sum(hash_record_extended(r, 0)))
            FROM (SELECT {columns} FROM {live}) AS r)
        IS NOT DISTINCT FROM
        (SELECT (count(*), sum(hash_record_extended(r, 0)))
            FROM (SELECT {columns} FROM {fresh}) AS r)
"""
_ROWS = """
    SELECT count(f) = 0, count(l) = 0, count(*), (array_agg(({key})::text))[:%s]
    FROM (SELECT {columns} FROM {live}) AS l FULL JOIN (SELECT {columns} FROM {fresh}) AS f
        USING ({key_columns})
    WHERE l IS DISTINCT FROM f
    GROUP BY l IS NULL, f IS NULL
"""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How the rows of a table differ from those that were there before."""

    table: str
    was: int
    version: int
    missing: int
    """Rows that are no longer there."""
    new: int
    changed: int
    examples: tuple[str, ...]

    @property
    def is_expected(self) -> bool:
        """Was the version raised since? Else the same events gave other rows."""
        return self.was != self.version

    def __str__(self) -> str:
        versions = f"version {self.was} to {self.version}" if self.is_expected else "same version"
        return (
            f"{self.table} ({versions}): {self.missing} rows went, {self.new} came, "
            f"{self.changed} changed, such as {', '.join(self.examples)}"
        )


async def differences(
    connection: connections.Connection,
    *,
    made: Sequence[projection.Table],
    schema: str,
    versions: Mapping[str, int],
) -> list[Difference]:
    """Compare tables in a schema with the live ones, on the columns that both have.

    The transaction must see both at the same position of the log.
    """
    cursor = await connection.execute("SELECT name, version FROM read.projections")
    was = dict(await cursor.fetchall())
    found = []
    for table in made:
        if table.name in was:
            difference = await _difference(
                connection, table, schema, was=was[table.name], version=versions[table.name]
            )
            found += [difference] if difference else []
    return found


def tell(found: Sequence[Difference]) -> None:
    """Say in the log what differs; a warning where nothing should."""
    for difference in found:
        level = logging.INFO if difference.is_expected else logging.WARNING
        _logger.log(level, "the rebuilt rows differ: %s", difference)


async def _difference(
    connection: connections.Connection,
    table: projection.Table,
    schema: str,
    *,
    was: int,
    version: int,
) -> Difference | None:
    shared = await _shared_columns(connection, table)
    if not set(table.primary_key) <= set(shared):
        return None  # rows of another kind
    key_columns = sql.SQL(", ").join(map(sql.Identifier, table.primary_key))
    parts = {
        "columns": sql.SQL(", ").join(map(sql.Identifier, shared)),
        "live": sql.Identifier(tables.LIVE, table.name),
        "fresh": sql.Identifier(schema, table.name),
        "key_columns": key_columns,
        "key": sql.SQL("concat_ws('/', {})").format(key_columns),
    }
    [(is_same,)] = await _rows(connection, sql.SQL(_SUMS).format(**parts), [])
    if is_same:
        return None
    counts = {"missing": 0, "new": 0, "changed": 0}
    examples: list[str] = []
    for is_gone, is_new, count, keys in await _rows(
        connection, sql.SQL(_ROWS).format(**parts), [_EXAMPLES]
    ):
        counts["missing" if is_gone else "new" if is_new else "changed"] += count
        examples += keys
    return Difference(
        table=table.name,
        was=was,
        version=version,
        examples=tuple(examples[:_EXAMPLES]),
        **counts,
    )


async def _shared_columns(connection: connections.Connection, table: projection.Table) -> list[str]:
    rows = await _rows(connection, sql.SQL(_COLUMNS), [f'{tables.LIVE}."{table.name}"'])
    live = {name for (name,) in rows}
    return [column.name for column in table.columns if column.name in live]


async def _rows(
    connection: connections.Connection, statement: sql.SQL | sql.Composed, values: Sequence[object]
) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement, values)).fetchall()
