"""The log in parts by aggregate, each folded whole and stored in one transaction.

Rows of an aggregate come from its own events alone, so a part folds it from its first event
to its last in memory, and each row is written once. Parts need no order among themselves:
several processes fold them, and a rebuild that was killed goes on with those that are missing.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql

from app.eventlog import mapper, projecting, reading
from domain import events
from projections import projection

EVENTS = 20_000
"""About how many events a part has."""

_PAGE = 5_000
_UUIDS = 2**128
_SETTINGS = """
    SET LOCAL work_mem = '64MB';
    SET LOCAL synchronous_commit = off;
"""
# A part is sorted in memory. Parts that a crash of the server takes back are missing as a whole,
# and are folded again; what comes after them waits for the disk, and for theirs with it.
_CLAIM = "INSERT INTO {}.parts (number) VALUES (%s) ON CONFLICT DO NOTHING RETURNING number"
_EVENTS = f"""
    SELECT {reading.OUTLINE} FROM ledger.events
    WHERE originator_id BETWEEN %s AND %s AND position <= %s
    ORDER BY originator_id, originator_version
"""  # noqa: S608  nothing from outside

_ESCAPED = re.compile(rb'\\[^"\\]')
_CHARACTERS = {
    rb"\b": b"\b",
    rb"\f": b"\f",
    rb"\n": b"\n",
    rb"\r": b"\r",
    rb"\t": b"\t",
}
_CODE = re.compile(rb"\\u00([0-9a-f]{2})")  # of control characters, no others
_ABSENT = b"\0"  # in all text of PostgreSQL
_END_OF_LINE = ord("\n")
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, kw_only=True)
class Work:
    """Where parts are read from and stored: the same for all of a rebuild."""

    conninfo: str
    models: projecting.ReadModels
    schema: str
    head: int
    count: int


class Folder:
    """Folds parts, one after the other, over one connection."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._mapper = mapper.EventMapper()
        self._copies = {name: _Copy(it, work.schema) for name, it in work.models.by_name.items()}
        self._connection = psycopg.connect(
            work.conninfo, application_name="servicebook rebuild", autocommit=True
        )

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()

    def fold(self, number: int) -> None:
        """Fold a part and store its rows, unless that was done already."""
        claim = sql.SQL(_CLAIM).format(sql.Identifier(self._work.schema))
        with self._connection.transaction():
            if self._connection.execute(claim, [number]).fetchone() is None:
                return
            self._connection.execute(_SETTINGS)
            part, outlines = _Part(self._work.models), reading.Outlines(self._mapper)
            for page in self._pages(_range(number, of=self._work.count)):
                for row in page:
                    part.take_in(outlines.of(row))
                self._store(part.entries())
            self._store(part.rows())

    def _pages(self, ends: tuple[UUID, UUID]) -> Iterator[Sequence[tuple[Any, ...]]]:
        with psycopg.ServerCursor(self._connection, "part") as cursor:
            cursor.execute(_EVENTS, [*ends, self._work.head], binary=True)
            while page := cursor.fetchmany(_PAGE):
                yield page

    def _store(self, rows: Mapping[str, Sequence[projection.Row]]) -> None:
        for name, some in rows.items():
            self._copies[name].write(self._connection, some)


class _Part:
    """The rows of all projections in a part, and the entries of journals since they were told."""

    def __init__(self, models: projecting.ReadModels) -> None:
        self._models = models
        self._entries = {journal.table.name: list[projection.Row]() for journal in models.journals}
        self._parts = {
            model.table.name: _PartOf(
                model,
                [
                    (journal.entry, self._entries[journal.table.name])
                    for journal in models.journals_of[model.table.name]
                ],
            )
            for model in models.projections
        }
        self._concerned: dict[type[events.Event], list[Callable[[projection.Outline], None]]] = {}

    def take_in(self, recorded: projection.Outline) -> None:
        """Fold an event."""
        event_class = type(recorded.event)
        if event_class not in self._concerned:
            self._concerned[event_class] = [
                self._parts[model.table.name].take_in
                for model in self._models.concerned(recorded.event)
            ]
        for take_in in self._concerned[event_class]:
            take_in(recorded)

    def entries(self) -> Mapping[str, Sequence[projection.Row]]:
        """Return the entries since the last call, by table."""
        told = {name: entries[:] for name, entries in self._entries.items()}
        for entries in self._entries.values():
            entries.clear()
        return told

    def rows(self) -> Mapping[str, Sequence[projection.Row]]:
        """Return the rows as they are after the last event, by table."""
        return {name: part.rows() for name, part in self._parts.items()}


class _PartOf:
    """The rows of a projection in a part, and the entries of journals that follow it."""

    def __init__(
        self,
        model: projection.Projection,
        journals: Sequence[tuple[Callable[..., projection.Row], list[projection.Row]]],
    ) -> None:
        self._keys, self._fold = model.keys, model.fold
        self._journals = journals
        self._rows: dict[projection.Key, projection.Row | None] = {}
        # Apart from the others: most events concern the row that the one before did.
        self._key: projection.Key = ()
        self._row: projection.Row | None = None

    def take_in(self, recorded: projection.Outline) -> None:
        """Fold an event. Rows need not be made plain: what was read from the log is."""
        for key in self._keys(recorded):
            if key != self._key:
                self._turn_to(key)
            before = self._row
            after = self._fold(before, recorded, key)
            if after is before:
                continue
            self._row = after
            if after is not None:
                for entry, entries in self._journals:
                    entries.append(entry(before, after, recorded))

    def rows(self) -> list[projection.Row]:
        """Return the rows as they are after the last event."""
        self._turn_to(())
        return [row for row in self._rows.values() if row is not None]

    def _turn_to(self, key: projection.Key) -> None:
        self._rows[self._key] = self._row
        self._key, self._row = key, self._rows.get(key)


class _Copy:
    """COPY into a table.

    Rows are encoded together as lines of JSON, which are lines of CSV but for their brackets
    and some of the escapes in strings. A list without its brackets is an array likewise.
    """

    def __init__(self, table: projection.Table, schema: str) -> None:
        self._names = [column.name for column in table.columns]
        self._values = operator.itemgetter(*self._names)
        types = [column.type for column in table.columns]
        self._json = [place for place, type_ in enumerate(types) if type_ == "jsonb"]
        self._arrays = [place for place, type_ in enumerate(types) if type_.endswith("[]")]
        columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
        self._statement = sql.SQL(
            r"COPY {} ({}) FROM STDIN (FORMAT csv, NULL 'null', ESCAPE '\')"
        ).format(sql.Identifier(schema, table.name), columns)

    def write(self, connection: psycopg.Connection[Any], rows: Sequence[projection.Row]) -> None:
        """Write the rows."""
        if not rows:
            return
        with connection.cursor() as cursor, cursor.copy(self._statement) as copy:
            copy.write(_as_sql(self._lines(rows)))

    def _lines(self, rows: Sequence[projection.Row]) -> bytes:
        """Return lines of JSON without their brackets: the end of each gives way to the next."""
        lines, end = bytearray(), 0
        for row in rows:
            _encoder.encode_into(self._line(row), lines, end)
            lines[end] = _END_OF_LINE
            end = len(lines) - 1
        return bytes(memoryview(lines)[1:end])

    def _line(self, row: projection.Row) -> list[Any]:
        if isinstance(row, projection.WrittenRow):
            values = list(map(row.written().get, self._names))
        else:
            values = list(self._values(row))
        for place in self._json:
            if values[place] is not None:
                values[place] = _encoder.encode(values[place]).decode()
        for place in self._arrays:
            if values[place] is not None:
                elements = _as_sql(_encoder.encode(values[place])[1:-1])
                values[place] = f"{{{elements.decode()}}}"
        return values


def _as_sql(text: bytes) -> bytes:
    """Return JSON with escapes of quotes and backslashes alone, as SQL has them."""
    if not _ESCAPED.search(text):
        return text
    text = text.replace(rb"\\", _ABSENT)
    for escape, character in _CHARACTERS.items():
        text = text.replace(escape, character)
    text = _CODE.sub(lambda found: bytes([int(found[1], base=16)]), text)
    return text.replace(_ABSENT, rb"\\")


def _range(number: int, *, of: int) -> tuple[UUID, UUID]:
    """Return the first and the last id of a part."""
    first, after = number * _UUIDS // of, (number + 1) * _UUIDS // of
    return UUID(int=first), UUID(int=after - 1)
