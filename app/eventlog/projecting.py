"""Read models: the fold of a batch of events, read and written back.

The rows concerned are read with one statement per table, folded in memory, and written back
with one statement for all tables, some rows at a time. Live appends and rebuilds do the same;
only the schema differs.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import msgspec
from psycopg.rows import dict_row

from app.eventlog import connections, statements, tables
from domain import events
from projections import projection

Rows = dict[projection.Key, projection.Row | None]
"""Rows by key; None for a key without a row."""

_ABSENT = object()


class ReadModels:
    """All projections and journals, and their statements in one schema."""

    def __init__(
        self,
        *,
        projections: Sequence[projection.Projection],
        journals: Sequence[projection.Journal],
        schema: str = tables.LIVE,
    ) -> None:
        self.projections = tuple(projections)
        self.journals = tuple(journals)
        self.tables = [model.table for model in projections] + [model.table for model in journals]
        self.by_name = {table.name: table for table in self.tables}
        self.sql = {table.name: tables.TableSql(table, schema=schema) for table in self.tables}
        self._composites = {table.name: _Composites.of(table) for table in self.tables}
        self._concerned: dict[type[events.Event], tuple[projection.Projection, ...]] = {}
        self.journals_of = {
            followed.table.name: tuple(
                journal for journal in journals if journal.follows.table.name == followed.table.name
            )
            for followed in projections
        }

    def concerned(self, event: events.Event) -> tuple[projection.Projection, ...]:
        """Return the projections that fold events of this class; each event is asked this."""
        event_class = type(event)
        if event_class not in self._concerned:
            self._concerned[event_class] = tuple(
                model for model in self.projections if event_class in model.folds
            )
        return self._concerned[event_class]

    def keys(
        self, recorded: Iterable[projection.RecordedEvent]
    ) -> dict[str, dict[projection.Key, None]]:
        """Return the keys that events concern, by table, in order and without repeats."""
        keys: dict[str, dict[projection.Key, None]] = {}
        for event in recorded:
            for model in self.concerned(event.event):
                for key in model.keys(event):
                    keys.setdefault(model.table.name, {})[key] = None
        return keys

    def plain(
        self, name: str, row: projection.Row, before: projection.Row | None
    ) -> projection.Row:
        """Return the row as it would be read back, so that a fold sees one shape only.

        What it shares with the row before is plain already. A row that is no dict is a
        projection's own way to go on from it, and plain by itself.
        """
        if not isinstance(row, dict):
            return row
        return _plain(self._composites[name], row, before or {})


class Folding:
    """Rows as they stand while events are folded into them; what is staged can be dropped."""

    def __init__(self, *, models: ReadModels, rows: Mapping[str, Rows]) -> None:
        self._models = models
        self._found = rows
        self._changed: dict[str, Rows] = {}
        self._entries: dict[str, list[projection.Row]] = {}

    def fold(self, recorded: Iterable[projection.RecordedEvent]) -> "Staged":
        """Return what the events change; nothing is kept yet."""
        staged = Staged()
        for event in recorded:
            for model in self._models.concerned(event.event):
                for key in model.keys(event):
                    self._fold_row(staged, model, event, key)
        return staged

    def keep(self, staged: "Staged") -> None:
        """Let later events see what was staged, and write it in the end."""
        for name, rows in staged.rows.items():
            self._changed.setdefault(name, {}).update(rows)
        for name, entries in staged.entries.items():
            self._entries.setdefault(name, []).extend(entries)

    def changes(self) -> "Staged":
        """Return all that was kept."""
        return Staged(self._changed, self._entries)

    def _fold_row(
        self,
        staged: "Staged",
        model: projection.Projection,
        event: projection.RecordedEvent,
        key: projection.Key,
    ) -> None:
        name = model.table.name
        before = self._row(staged, name, key)
        after = model.fold(before, event, key)
        if after is None:
            if before is not None:
                staged.rows.setdefault(name, {})[key] = None
            return
        if after is before:
            return
        after = self._models.plain(name, after, before)
        staged.rows.setdefault(name, {})[key] = after
        for journal in self._models.journals_of[name]:
            entry = journal.entry(before, after, event)
            staged.entries.setdefault(journal.table.name, []).append(entry)

    def _row(self, staged: "Staged", name: str, key: projection.Key) -> projection.Row | None:
        for rows in (staged.rows.get(name), self._changed.get(name)):
            if rows is not None and key in rows:
                return rows[key]
        return self._found[name][key]


class Staged:
    """Changed rows and new journal entries, by table."""

    def __init__(
        self,
        rows: dict[str, Rows] | None = None,
        entries: dict[str, list[projection.Row]] | None = None,
    ) -> None:
        self.rows: dict[str, Rows] = {} if rows is None else rows
        self.entries: dict[str, list[projection.Row]] = {} if entries is None else entries


@dataclasses.dataclass(frozen=True)
class _Composites:
    """The columns of a table that hold JSON, and those that hold arrays."""

    json: tuple[str, ...]
    arrays: tuple[str, ...]

    @classmethod
    def of(cls, table: projection.Table) -> Self:
        return cls(
            json=tuple(column.name for column in table.columns if column.type == "jsonb"),
            arrays=tuple(column.name for column in table.columns if column.type.endswith("[]")),
        )


def _plain(composites: _Composites, row: dict[str, Any], before: projection.Row) -> projection.Row:
    made = {}
    for name in composites.json:
        if row[name] is not before.get(name, _ABSENT):
            made[name] = msgspec.json.decode(msgspec.json.encode(row[name]))
    for name in composites.arrays:
        if row[name] is not None:
            made[name] = list(row[name])
    return row | made if made else row


def stale(
    projections: Sequence[projection.Projection],
    journals: Sequence[projection.Journal],
    found: Mapping[str, int],
) -> tuple[list[projection.Projection], list[projection.Journal]]:
    """Return what is missing or of another version; a journal goes with what it follows."""
    wanted = versions(projections, journals)
    names = {name for name, version in wanted.items() if found.get(name) != version}
    names |= {journal.follows.table.name for journal in journals if journal.table.name in names}
    return (
        [model for model in projections if model.table.name in names],
        [journal for journal in journals if journal.follows.table.name in names],
    )


def versions(
    projections: Sequence[projection.Projection], journals: Sequence[projection.Journal]
) -> dict[str, int]:
    """Return the versions of the tables, by name."""
    return {model.table.name: model.version for model in projections} | {
        journal.table.name: journal.version for journal in journals
    }


async def ask(
    connection: connections.Connection,
    models: ReadModels,
    keys: Mapping[str, Iterable[projection.Key]],
) -> dict[str, Any]:
    """Send the statements that read rows; in a pipeline they go out together."""
    cursors = {}
    for name, wanted in keys.items():
        cursor = connection.cursor(row_factory=dict_row)
        arrays = tables.key_arrays(models.by_name[name], list(wanted))
        cursors[name] = await cursor.execute(models.sql[name].select, arrays)
    return cursors


async def answers(
    models: ReadModels,
    keys: Mapping[str, Iterable[projection.Key]],
    cursors: Mapping[str, Any],
) -> dict[str, Rows]:
    """Return the rows asked for, None where there is none."""
    found: dict[str, Rows] = {}
    for name, wanted in keys.items():
        rows: Rows = dict.fromkeys(wanted)
        primary_key = models.by_name[name].primary_key
        for row in await cursors[name].fetchall():
            rows[tuple(row[column] for column in primary_key)] = row
        found[name] = rows
    return found


async def write(connection: connections.Connection, models: ReadModels, changes: Staged) -> None:
    """Write changes, some rows of each table with each statement."""
    for text, values in statements.in_turns(writes(models, changes)):
        await statements.execute(connection, text, values)


def writes(models: ReadModels, changes: Staged) -> list[list[statements.Statement]]:
    """Return what writes changes: per table and kind of change, and of these for some rows each."""
    found: list[list[statements.Statement]] = []
    for name, rows in changes.rows.items():
        sql, kept = models.sql[name], [_written(row) for row in rows.values() if row is not None]
        found.append([(sql.upsert, values) for values in sql.columns.values(kept)])
        gone = [key for key, row in rows.items() if row is None]
        if gone:
            names = models.by_name[name].primary_key
            keys = [dict(zip(names, key, strict=True)) for key in gone]
            found.append([(sql.delete, [tables.row_json(keys)])])
    for name, entries in changes.entries.items():
        sql = models.sql[name]
        found.append([(sql.insert, values) for values in sql.columns.values(entries)])
    return found


def _written(row: projection.Row) -> projection.Row:
    return row.written() if isinstance(row, projection.WrittenRow) else row
