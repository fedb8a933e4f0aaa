"""Transactions sent one after the other on one connection, the next before the last is answered.

The server takes them in that order. This is libpq's pipeline without psycopg's cursors, which
wait for an answer before they let anybody send. Each transaction goes out whole: a process that
stops leaves none half sent, with locks that others wait for.
"""

import asyncio
import collections
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import errors, pq

from app.eventlog import columns, connections, statements

Landed = Callable[[str | psycopg.Error], None]
"""Takes the first value that the transaction returned, or why it failed."""


@dataclass
class _Flight:
    landed: Landed
    prepared: list[str] = field(default_factory=list)
    value: str = ""
    error: psycopg.Error | None = None


class Sender:
    """Sends on a connection; nobody else may use it while something is on its way."""

    def __init__(self, connection: connections.Connection) -> None:
        self._pgconn = connection.pgconn
        self._socket = connection.pgconn.socket  # libpq knows it no more once it is lost
        self._loop = asyncio.get_running_loop()
        self._flights: collections.deque[_Flight] = collections.deque()
        self._names: dict[str, bytes] = {}
        self._numbers = itertools.count()

    @property
    def on_the_way(self) -> int:
        """How many transactions were not answered yet."""
        return len(self._flights)

    def send(self, transaction: Sequence[statements.Statement], *, landed: Landed) -> None:
        """Send a transaction, and have its outcome taken in once it is known."""
        flight = _Flight(landed)
        self._flights.append(flight)
        try:
            if len(self._flights) == 1:
                self._pgconn.enter_pipeline_mode()
                self._loop.add_reader(self._socket, self._read)
            for text, values in transaction:
                name = self._names.get(text) or self._prepare(flight, text)
                self._pgconn.send_query_prepared(name, *_sent(values))
            self._pgconn.pipeline_sync()
            self._flush()
        except psycopg.OperationalError as error:
            self._lose(error)

    def _prepare(self, flight: _Flight, text: str) -> bytes:
        name = f"servicebook_{next(self._numbers)}".encode()
        self._pgconn.send_prepare(name, text.encode())
        self._names[text] = name
        flight.prepared.append(text)
        return name

    def _flush(self) -> None:
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._write)

    def _write(self) -> None:
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.OperationalError as error:
            self._lose(error)

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            is_between = False
            while self._flights and not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is not None:
                    self._take(result)
                elif is_between:
                    break
                is_between = result is None
            if self._pgconn.status == pq.ConnStatus.BAD:
                raise psycopg.OperationalError("the connection is lost")  # noqa: TRY301  as below
        except psycopg.OperationalError as error:
            self._lose(error)

    def _take(self, result: pq.abc.PGresult) -> None:
        flight = self._flights[0]
        match result.status:
            case pq.ExecStatus.PIPELINE_SYNC:
                self._land(flight)
            case pq.ExecStatus.FATAL_ERROR:
                flight.error = flight.error or errors.error_from_result(result)
            case pq.ExecStatus.TUPLES_OK if not flight.value:
                flight.value = (result.get_value(0, 0) or b"").decode()
            case _:
                pass  # something was prepared or written, or comes after an error

    def _land(self, flight: _Flight) -> None:
        self._flights.popleft()
        if not self._flights:
            self._loop.remove_reader(self._socket)
            self._pgconn.exit_pipeline_mode()
        if flight.error is not None:
            for text in flight.prepared:
                del self._names[text]
        flight.landed(flight.error or flight.value)

    def _lose(self, error: psycopg.OperationalError) -> None:
        """Give up all that is on its way: nobody can tell what became of it."""
        flights, self._flights = self._flights, collections.deque()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        for flight in flights:
            flight.landed(error)


def _sent(values: Sequence[columns.Value]) -> tuple[list[bytes], list[int]]:
    """Return the values and their formats."""
    return (
        [value.encode() if isinstance(value, str) else value for value in values],
        [pq.Format.TEXT if isinstance(value, str) else pq.Format.BINARY for value in values],
    )
