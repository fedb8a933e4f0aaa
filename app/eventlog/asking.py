"""Small statements, prepared once for each connection; their values and answers are text.

A cursor of psycopg takes longer over such a statement than the server does: it looks at each
value, at each column, and at the statement itself. Here the statement says what they are.

The server plans a statement anew each time, unless that would change nothing: so a list comes as
(SELECT $1), into which the planner does not look, and what is asked of each is a LATERAL subquery
with a LIMIT. That is answered from the index, by a plan from before there was anything too.
"""

import asyncio
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import errors, generators, pq, waiting

_MOST = 100  # statements that a connection keeps, as psycopg does
_PATIENCE = 5.0  # seconds, for the server to stop
_STALE = (errors.FeatureNotSupported, errors.InvalidSqlStatementName)
"""A table has other columns now, or somebody between us and the server changed sessions."""

_Connection = psycopg.AsyncConnection[Any]
Row = tuple[Any, ...]
"""Texts, as the server writes them; None for NULL."""


class _Names(dict[bytes, bytes]):
    """What is prepared on a connection, the oldest first."""

    made = 0


# What belongs to a connection, and is forgotten with it.
_prepared: weakref.WeakKeyDictionary[_Connection, _Names] = weakref.WeakKeyDictionary()


async def ask(
    connection: _Connection, statement: bytes, values: Sequence[str | None] = ()
) -> list[Row]:
    """Return the rows of a statement with numbered parameters; nobody else uses the connection.

    Whoever is cancelled leaves a connection that others can use. Raises psycopg's errors.
    """
    names = _prepared.get(connection) or _prepared.setdefault(connection, _Names())
    name = names.get(statement) or await _prepare(connection, names, statement)
    connection.pgconn.send_query_prepared(name, [_sent(value) for value in values])
    try:
        result = await _result(connection)
    except _STALE:
        names.pop(statement, None)
        raise
    columns = range(result.nfields)
    return [
        tuple([_read(result.get_value(row, column)) for column in columns])
        for row in range(result.ntuples)
    ]


def array(values: Iterable[str]) -> str:
    """Return an array as PostgreSQL reads it."""
    quoted = [value.replace("\\", r"\\").replace('"', r"\"") for value in values]
    return "{" + ",".join([f'"{value}"' for value in quoted]) + "}"


async def _prepare(connection: _Connection, names: _Names, statement: bytes) -> bytes:
    if len(names) >= _MOST:
        oldest = next(iter(names))
        connection.pgconn.send_query(b"DEALLOCATE " + names.pop(oldest))
        await _result(connection)
    names.made += 1
    name = b"asked_%d" % names.made
    connection.pgconn.send_prepare(name, statement)
    await _result(connection)
    names[statement] = name
    return name


async def _result(connection: _Connection) -> pq.abc.PGresult:
    """Return the answer to what was sent."""
    if connection.pgconn.flush():  # it is more than the socket takes at once
        results = await connection.wait(generators.execute(connection.pgconn))
    else:
        results = await _results(connection)
    result: pq.abc.PGresult = results[-1]
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise errors.error_from_result(result)
    return result


async def _results(connection: _Connection) -> list[pq.abc.PGresult]:
    """Wait for the answer, with less ado than psycopg."""
    pgconn, loop = connection.pgconn, asyncio.get_running_loop()
    socket = pgconn.socket
    results: list[pq.abc.PGresult] = []
    answered: asyncio.Future[list[pq.abc.PGresult]] = loop.create_future()

    def read() -> None:
        lost = None
        try:
            pgconn.consume_input()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    break
                results.append(result)
            else:
                return  # there is more to come
        except psycopg.OperationalError as error:
            lost = error
        loop.remove_reader(socket)
        if answered.done():
            pass  # by a cancellation
        elif results:
            answered.set_result(results)
        else:
            answered.set_exception(lost or psycopg.OperationalError("the connection is lost"))

    loop.add_reader(socket, read)
    try:
        return await answered
    except asyncio.CancelledError:
        loop.remove_reader(socket)
        await _stop(connection)
        raise


async def _stop(connection: _Connection) -> None:
    """Have the server stop, as psycopg does; if it does not, the connection is closed."""
    pgconn = connection.pgconn
    if pgconn.transaction_status != pq.TransactionStatus.ACTIVE:
        return
    try:
        await connection.cancel_safe(timeout=_PATIENCE)
        left = generators.fetch_many(pgconn)
        await waiting.wait_async(left, pgconn.socket, interval=_PATIENCE, timeout=_PATIENCE)
    except psycopg.Error:
        pgconn.finish()
    except asyncio.CancelledError:
        pgconn.finish()
        raise


def _sent(value: str | None) -> bytes | None:
    if value is None:
        return None
    if "\0" in value:  # libpq would end there
        raise psycopg.DataError("text for PostgreSQL cannot hold a NUL")
    return value.encode()


def _read(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
