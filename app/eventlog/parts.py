"""The log in parts by aggregate, each folded whole and stored in one transaction.

Rows of an aggregate come from its own events alone, so a part folds it from its first event
to its last in memory, and each row is written once. Parts need no order among themselves:
several processes fold them, and a rebuild that was killed goes on with those that are missing.
"""

import operator
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql

from app.eventlog import mapper, projecting, reading
from projections import projection

EVENTS = 20_000
"""About how many events a part has."""

_PAGE = 5_000
_UUIDS = 2**128
_WORK_MEM = "SET LOCAL work_mem = '64MB'"  # a part is sorted in memory
_CLAIM = "INSERT INTO {}.parts (number) VALUES (%s) ON CONFLICT DO NOTHING RETURNING number"
_EVENTS = f"""
    SELECT {reading.COLUMNS} FROM ledger.events
    WHERE originator_id BETWEEN %s AND %s AND position <= %s
    ORDER BY originator_id, originator_version
"""  # noqa: S608  nothing from outside

_AS_CSV = sql.SQL(r" (FORMAT csv, NULL 'null', ESCAPE '\')")
_ESCAPED = re.compile(rb'\\[^"\\]')
_NO_LINES = b""
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, kw_only=True)
class Work:
    """Where parts are read from and stored: the same for all of a rebuild."""

    conninfo: str
    models: projecting.ReadModels
    schema: str
    head: int
    count: int


def fold(work: Work, number: int) -> None:
    """Fold a part and store its rows, unless that was done already."""
    with (
        psycopg.connect(work.conninfo, application_name="servicebook rebuild") as connection,
        connection.transaction(),
    ):
        claim = sql.SQL(_CLAIM).format(sql.Identifier(work.schema))
        if connection.execute(claim, [number]).fetchone() is None:
            return
        connection.execute(_WORK_MEM)
        _Part(connection, work).run(_range(number, of=work.count))


class _Part:
    def __init__(self, connection: psycopg.Connection[Any], work: Work) -> None:
        self._connection = connection
        self._work = work
        self._models = work.models
        self._mapper = mapper.EventMapper()
        self._copies = {name: _Copy(it, work.schema) for name, it in work.models.by_name.items()}
        self._rows: dict[str, dict[projection.Key, projection.Row | None]] = {
            model.table.name: {} for model in work.models.projections
        }
        self._entries: dict[str, list[projection.Row]] = {
            journal.table.name: [] for journal in work.models.journals
        }

    def run(self, ends: tuple[UUID, UUID]) -> None:
        """Fold the aggregates between two ids."""
        for page in self._pages(ends):
            for row in page:
                self._take_in(reading.recorded(self._mapper, row))
            for name, entries in self._entries.items():
                self._copies[name].write(self._connection, entries)
                entries.clear()
        for name, rows in self._rows.items():
            kept = [row for row in rows.values() if row is not None]
            self._copies[name].write(self._connection, kept)

    def _pages(self, ends: tuple[UUID, UUID]) -> Iterator[Sequence[tuple[Any, ...]]]:
        with psycopg.ServerCursor(self._connection, "part") as cursor:
            cursor.execute(_EVENTS, [*ends, self._work.head], binary=True)
            while page := cursor.fetchmany(_PAGE):
                yield page

    def _take_in(self, recorded: projection.RecordedEvent) -> None:
        for model in self._models.concerned(recorded.event):
            name = model.table.name
            rows = self._rows[name]
            for key in model.keys(recorded):
                before = rows.get(key)
                after = model.fold(before, recorded, key)
                if after is not None and after is not before:
                    after = self._models.plain(name, after)
                    for journal in self._models.journals_of[name]:
                        entry = journal.entry(before, after, recorded)
                        self._entries[journal.table.name].append(entry)
                rows[key] = after


class _Copy:
    """COPY into a table.

    Rows of plain columns are encoded together as lines of JSON, which are lines of CSV but for
    their brackets and what is escaped in strings beside quotes.
    """

    def __init__(self, table: projection.Table, schema: str) -> None:
        self._values = operator.itemgetter(*(column.name for column in table.columns))
        self._json = [place for place, column in enumerate(table.columns) if column.type == "jsonb"]
        self._is_plain = not any(column.type.endswith("[]") for column in table.columns)
        columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
        self._statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(schema, table.name), columns
        )

    def write(self, connection: psycopg.Connection[Any], rows: Sequence[projection.Row]) -> None:
        """Write the rows."""
        if not rows:
            return
        lines = [self._line(row) for row in rows]
        encoded = _encoder.encode_lines(lines) if self._is_plain else _NO_LINES
        with connection.cursor() as cursor:
            if self._is_plain and not _ESCAPED.search(encoded):
                with cursor.copy(self._statement + _AS_CSV) as copy:
                    copy.write(encoded[1:-2].replace(b"]\n[", b"\n"))
            else:
                with cursor.copy(self._statement) as copy:
                    for line in lines:
                        copy.write_row(line)

    def _line(self, row: projection.Row) -> list[Any]:
        values = list(self._values(row))
        for place in self._json:
            if values[place] is not None:
                values[place] = _encoder.encode(values[place]).decode()
        return values


def _range(number: int, *, of: int) -> tuple[UUID, UUID]:
    """Return the first and the last id of a part."""
    first, after = number * _UUIDS // of, (number + 1) * _UUIDS // of
    return UUID(int=first), UUID(int=after - 1)
