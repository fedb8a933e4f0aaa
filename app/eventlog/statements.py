"""Statements of a transaction, and how several become one."""

import functools
import itertools
from collections.abc import Sequence

import psycopg
from psycopg import pq
from psycopg.adapt import Dumper

from app.eventlog import columns, connections

Statement = tuple[str, Sequence[columns.Value]]
"""SQL with %s for each parameter, or with numbered ones, and their values."""


class _Binary(bytes):
    """What psycopg sends as it is."""


class _BinaryDumper(Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: _Binary) -> _Binary:
        return obj


def in_turns(writes: Sequence[Sequence[Statement]]) -> list[Statement]:
    """Return what does the first ones of all in one statement, then the second ones, and so on."""
    return [
        _together([statement for statement in turn if statement is not None])
        for turn in itertools.zip_longest(*writes)
    ]


def _together(writes: Sequence[Statement]) -> Statement:
    text = _joined(tuple([text for text, _ in writes]))
    return text, [value for _, values in writes for value in values]


async def execute(
    connection: connections.Connection, text: str, values: Sequence[columns.Value]
) -> None:
    """Execute a statement with numbered parameters, prepared."""
    # Numbered parameters: psycopg hands the statement on as it is.
    cursor = psycopg.AsyncRawCursor(connection)
    cursor.adapters.register_dumper(_Binary, _BinaryDumper)
    given = [_Binary(value) if isinstance(value, bytes) else value for value in values]
    await cursor.execute(text.encode(), given, prepare=True)


@functools.lru_cache(maxsize=1000)
def _joined(texts: tuple[str, ...]) -> str:
    numbers = itertools.count(1)
    parts = [f"w{number} AS ({text})" for number, text in enumerate(texts)]
    pieces = f"WITH {', '.join(parts)} SELECT 1".split("%s")
    return pieces[0] + "".join(f"${next(numbers)}{piece}" for piece in pieces[1:])
