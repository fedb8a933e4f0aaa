"""Cursors: places in a list, opaque to clients.

A cursor holds the order that it belongs to and the values of the order's keys; it is refused
in a list of another order.
"""

import base64
import binascii
import dataclasses
import functools
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import LiteralString

from psycopg import sql

from app.eventlog import epochs
from app.graphql.compiler import binding, positions

_LARGEST_POSITION = 2**63 - 1
_LARGEST_NUMBER = 2**31 - 1
_LONGEST = 1000
_REMEMBERED = 256  # cursors


@dataclasses.dataclass(frozen=True)
class Order:
    """An order of rows: columns with their SQL types, the last one unique."""

    name: str
    keys: tuple[tuple[LiteralString, LiteralString], ...]
    is_descending: bool = False
    is_plain: bool = False
    """The cursor is the one key itself: a position of the log."""

    def columns(self, there: sql.Composable) -> list[sql.Composable]:
        """Return the keys of the rows."""
        return [sql.SQL("{}.{}").format(there, sql.Identifier(name)) for name, _ in self.keys]

    def cursor(self, keys: Sequence[sql.Composable]) -> sql.Composable:
        """Return the cursor of the row that has these keys."""
        if self.is_plain:
            return positions.place(keys[0])
        return sql.SQL(
            "translate(encode(convert_to(json_build_array({})::text, 'UTF8'), 'base64'),"
            r" E'+/=\n', '-_')"
        ).format(sql.SQL(", ").join([sql.Literal(self.name), *keys]))

    def value(self, parameter: sql.Composable, type_: LiteralString) -> sql.Composable:
        """Return the value of a key from the parameter that holds it."""
        template = "ledger.common_position({}::text)" if self.is_plain else "{}::{}"
        return sql.SQL(template).format(parameter, sql.SQL(type_))

    def place(self, cursor: str) -> tuple[object, ...]:
        """Return the values that a cursor holds; an error for the client if it is none."""
        try:
            return _held(self, cursor)
        except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            raise binding.bad_input("The cursor is not one of this list.") from error


@functools.lru_cache(maxsize=_REMEMBERED)  # the value of each key is asked for
def _held(order: Order, cursor: str) -> tuple[object, ...]:
    if len(cursor) > _LONGEST:
        raise ValueError("longer than any cursor")
    if order.is_plain:
        return (epochs.Place.parsed(cursor).text,)
    padded = cursor + "=" * (-len(cursor) % 4)
    found = json.loads(base64.b64decode(padded.encode(), altchars=b"-_", validate=True))
    if not isinstance(found, list) or len(found) != len(order.keys) + 1:
        raise ValueError("another shape")
    if found[0] != order.name:
        raise ValueError("another order")
    return tuple(
        _PARSERS[type_](value) for (_, type_), value in zip(order.keys, found[1:], strict=True)
    )


def _whole_number(value: object) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > _LARGEST_POSITION:
        raise ValueError("no position")
    return int(text)


def _small_number(value: object) -> int:
    number = _whole_number(value)
    if number > _LARGEST_NUMBER:
        raise ValueError("no number of a column")
    return number


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment


def _text(value: str) -> str:
    value.encode()
    if "\x00" in value:
        raise ValueError("no text of a column")
    return value


_PARSERS: Mapping[str, Callable[..., object]] = {
    "timestamptz": _moment,
    "uuid": uuid.UUID,
    "int8": _whole_number,
    "int4": _small_number,
    "text": _text,
}
