"""Rows as arrays, one for each column, in PostgreSQL's own format: it has nothing to parse.

To parse rows of JSON took a third of its time for a command. Nor are the arrays turned into rows,
which would take as long: the statement asks each for its n-th item. The server walks there from
the first one, so that a statement takes some rows at a time.
"""

import functools
import operator
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
from psycopg import errors, postgres, sql

from app.eventlog import asking

Value = bytes | str
"""A parameter: bytes are in PostgreSQL's own format, a string is text."""

_AT_ONCE = 64  # rows; at some hundred, JSON would be as good
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_NULL = b"\xff\xff\xff\xff"
_FALSE, _TRUE = b"\0\0\0\1\0", b"\0\0\0\1\1"
_LENGTH_OF_UUID = b"\0\0\0\x10"
_length = struct.Struct("!I").pack
_int4_with_length = struct.Struct("!Ii").pack
_int8_with_length = struct.Struct("!Iq").pack
_three = struct.Struct("!iiI").pack
_size = struct.Struct("!ii").pack
_encode = msgspec.json.Encoder().encode


class Columns:
    """Some columns of a table, by name with their types."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._names = sql.SQL(", ").join(map(sql.Identifier, types))
        self._items = sql.SQL(", ").join(sql.SQL(_nth(each)) for each in types.values())
        self._arrays = [_Array(each) for each in types.values()]
        self._in_order = operator.itemgetter(*types)

    def insert(self, table: sql.Identifier) -> sql.Composed:
        """Return what inserts rows; what `values` yields are its parameters."""
        # The planner does not look into the SELECT: it would plan anew for each number of rows.
        return sql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM generate_series(1, (SELECT %s::int4)) AS n"
        ).format(table, self._names, self._items)

    def values(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Value]]:
        """Yield parameters, for some of the rows each."""
        return self.values_in_order([self._in_order(row) for row in rows])

    def values_in_order(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[list[Value]]:
        """Yield parameters, likewise, of rows whose values are in the order of the columns."""
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            size = _size(len(some), 1)
            columns = zip(*some, strict=True)
            arrays = [
                array.of(column, size) for array, column in zip(self._arrays, columns, strict=True)
            ]
            yield [*arrays, str(len(some))]


class _Array:
    """Makes the array of a column."""

    def __init__(self, type_name: str) -> None:
        self._is_of_arrays = _is_array(type_name)
        self._item = _array_text if self._is_of_arrays else _ITEMS[type_name]
        self._is_repetitive = self._is_of_arrays or type_name in _REPETITIVE
        oid = postgres.types["text" if self._is_of_arrays else type_name].oid
        self._head = _three(1, 1, oid)  # dimensions, whether there may be NULLs
        self._nothing = _three(0, 0, oid)

    def of(self, values: Sequence[Any], size: bytes) -> bytes:
        """Return the array; if all are NULL it has no items, each of which is NULL."""
        first, item = values[0], self._item
        if first is None and values.count(None) == len(values):
            return self._nothing
        if not self._is_repetitive:
            items = [_NULL if value is None else item(value) for value in values]
        else:
            if self._is_of_arrays:
                values = [None if value is None else tuple(value) for value in values]
                first = values[0]
            if values.count(first) == len(values):
                return self._head + size + item(first) * len(values)
            made = {value: _NULL if value is None else item(value) for value in set(values)}
            items = [made[value] for value in values]
        return self._head + size + b"".join(items)


def _is_array(type_name: str) -> bool:
    return type_name.endswith("[]")


def _nth(type_name: str) -> str:
    """Return what takes the n-th item of an array; an item that is an array comes as its text."""
    if _is_array(type_name):
        return f"(%s::text[])[n]::{type_name}"
    return f"(%s::{type_name}[])[n]"


def _bool(value: bool) -> bytes:  # noqa: FBT001  it is the value
    return _TRUE if value else _FALSE


def _int4(value: int) -> bytes:
    return _int4_with_length(4, value)


def _int8(value: int) -> bytes:
    return _int8_with_length(8, value)


def _text(value: str) -> bytes:
    if "\0" in value:  # what the server says of JSON with a NUL
        raise errors.UntranslatableCharacter("text for PostgreSQL cannot hold a NUL")
    encoded = value.encode()
    return _length(len(encoded)) + encoded


def _array_text(value: Iterable[object]) -> bytes:
    return _text(asking.array(map(str, value)))


def _json(value: object) -> bytes:
    encoded = _encode(value)
    return _length(len(encoded)) + encoded


def _jsonb(value: object) -> bytes:
    encoded = _encode(value)
    return _length(len(encoded) + 1) + b"\1" + encoded


def _uuid(value: UUID) -> bytes:
    return _LENGTH_OF_UUID + value.int.to_bytes(16, "big")


@functools.lru_cache(maxsize=1_000)  # an event's time is in several tables
def _timestamptz(value: datetime) -> bytes:
    since = value - _EPOCH
    return _int8((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


_ITEMS: Mapping[str, Callable[[Any], bytes]] = MappingProxyType(
    {
        "bool": _bool,
        "int4": _int4,
        "int8": _int8,
        "json": _json,
        "jsonb": _jsonb,
        "text": _text,
        "timestamptz": _timestamptz,
        "uuid": _uuid,
    }
)
_REPETITIVE = frozenset({"bool", "int4", "text"})  # the same again and again: made once
