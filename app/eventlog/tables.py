"""The SQL of a table, from its description."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import sql

from app.eventlog import columns
from projections import projection

LIVE = "read"
"""The schema of the tables that queries read."""


class TableSql:
    """The statements for one table in one schema, each composed once."""

    def __init__(self, table: projection.Table, *, schema: str = LIVE) -> None:
        self._table = table
        self._name = sql.Identifier(schema, table.name)
        self._types = {column.name: column.type for column in table.columns}
        self.columns = columns.Columns(self._types)

    @functools.cached_property
    def create(self) -> sql.Composed:
        """Create the table; what is loaded has no index to keep up, and autovacuum lets it be."""
        columns = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(column.name),
                sql.SQL(column.type),
                sql.SQL("" if column.is_nullable else " NOT NULL"),
            )
            for column in self._table.columns
        ]
        return sql.SQL("CREATE TABLE {} ({}) WITH (autovacuum_enabled = false)").format(
            self._name, sql.SQL(", ").join(columns)
        )

    @functools.cached_property
    def create_indexes(self) -> list[sql.Composed]:
        """Create the primary key and the other indexes; PostgreSQL names them."""
        key = sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(
            self._name, _names(self._table.primary_key)
        )
        return [
            key,
            *(
                sql.SQL("CREATE INDEX ON {} ({}){}").format(
                    self._name,
                    _names(index.columns),
                    sql.SQL("" if index.where is None else f" WHERE {index.where}"),
                )
                for index in self._table.indexes
            ),
        ]

    @functools.cached_property
    def analyze(self) -> sql.Composed:
        """Let the planner know what is in the columns that rows are found by.

        All columns take several times as long, most of it to sort JSON.
        """
        table = self._table
        found_by = dict.fromkeys(table.primary_key)
        for index in table.indexes:
            found_by |= dict.fromkeys(index.columns)
        return sql.SQL("ANALYZE {} ({})").format(self._name, _names(found_by))

    @functools.cached_property
    def select(self) -> bytes:
        """Select the rows of some keys: one array for each column of the key."""
        return (
            sql.SQL("SELECT {} FROM {} AS t JOIN {} ON {}")
            .format(
                sql.SQL(", ").join(sql.Identifier("t", name) for name in self._types),
                self._name,
                self._keys,
                self._same_key,
            )
            .as_bytes()
        )

    @functools.cached_property
    def insert(self) -> str:
        """Insert some rows; the parameters are those of its columns."""
        return self._insert.as_string()

    @functools.cached_property
    def upsert(self) -> str:
        """Insert some rows, in place of those with the same key."""
        return (
            sql.SQL("{} ON CONFLICT ({}) DO UPDATE SET ({}) = ROW (excluded.*)")
            .format(self._insert, _names(self._table.primary_key), _names(self._types))
            .as_string()
        )

    @functools.cached_property
    def delete(self) -> str:
        """Delete the rows of some keys, which come as JSON."""
        return (
            sql.SQL(
                "DELETE FROM {name} AS t USING json_populate_recordset(NULL::{name}, %s::json) "
                "AS k WHERE {same}"
            )
            .format(name=self._name, same=self._same_key)
            .as_string()
        )

    @property
    def _insert(self) -> sql.Composed:
        return self.columns.insert(self._name)

    @property
    def _keys(self) -> sql.Composed:
        key = self._table.primary_key
        arrays = [sql.SQL("%s::{}[]").format(sql.SQL(self._types[name])) for name in key]
        return sql.SQL("unnest({}) AS k ({})").format(sql.SQL(", ").join(arrays), _names(key))

    @property
    def _same_key(self) -> sql.Composed:
        return sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("t", name), sql.Identifier("k", name))
            for name in self._table.primary_key
        )


def key_arrays(table: projection.Table, keys: Sequence[projection.Key]) -> list[list[Any]]:
    """Return the parameters of `select`."""
    return [[key[place] for key in keys] for place in range(len(table.primary_key))]


def row_json(rows: Sequence[object]) -> str:
    """Return rows as one parameter, for what is written seldom."""
    return msgspec.json.encode(rows).decode()


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
