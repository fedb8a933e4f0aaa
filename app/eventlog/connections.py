"""Deadlines that the client keeps, and a second try after a lost connection.

The server's own timeouts do not help against a peer that no longer answers: the socket is
shut down from this side, which ends whatever waits on it.
"""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import msgspec
import psycopg
import psycopg_pool
from psycopg import errors
from psycopg.types import json

from app import cancellation
from app.eventlog import command

LOST = (psycopg.OperationalError, errors.ReadOnlySqlTransaction)
"""What a lost, restarting or switching server looks like from here."""

_WAIT_FOR_CONNECTION = 0.25
_PAUSE = 0.05

Connection = psycopg.AsyncConnection[Any]
_Result = TypeVar("_Result")


class Connections:
    """The pool, with a deadline for all work done on its connections."""

    def __init__(self, *, pool: psycopg_pool.AsyncConnectionPool[Any], seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds

    @property
    def conninfo(self) -> str:
        """Return what to connect with."""
        if not isinstance(self._pool.conninfo, str):
            raise TypeError("The pool of an event log needs a connection string.")
        return self._pool.conninfo

    async def run(self, work: Callable[[Connection], Awaitable[_Result]]) -> _Result:
        """Do repeatable work on a connection, on another one if the first is lost.

        Raises LogUnavailableError when the deadline passes.
        """
        deadline = asyncio.get_running_loop().time() + self._seconds
        while True:
            try:
                with cancellation.heeded():
                    return await self._attempt(work, deadline)
            except psycopg_pool.PoolClosed as error:
                raise command.LogUnavailableError from error
            except LOST as error:
                if _remaining(deadline) <= _PAUSE:
                    raise command.LogUnavailableError from error
            await asyncio.sleep(pause())

    async def open(self, *, purpose: str) -> Connection:
        """Open a connection beside the pool, in autocommit mode, for one long-lived use.

        The server's list of sessions shows the purpose.
        """
        connection = await psycopg.AsyncConnection.connect(
            self.conninfo,
            autocommit=True,
            connect_timeout=max(2, int(self._seconds)),
            application_name=f"servicebook {purpose}",
        )
        json.set_json_loads(msgspec.json.decode, connection)
        return connection

    async def _attempt(
        self, work: Callable[[Connection], Awaitable[_Result]], deadline: float
    ) -> _Result:
        # A short wait: the pool tries to connect at once only when somebody asks.
        patience = min(_WAIT_FOR_CONNECTION, max(0.0, _remaining(deadline)))
        async with self._pool.connection(timeout=patience) as connection:
            with cut_after(connection, seconds=_remaining(deadline)):
                return await work(connection)


@contextlib.contextmanager
def cut_after(connection: Connection, *, seconds: float) -> Iterator[None]:
    """Shut the connection's socket down if the block takes longer."""
    handle = asyncio.get_running_loop().call_later(seconds, _cut, connection)
    try:
        yield
    finally:
        handle.cancel()


def pause() -> float:
    """Return how long to wait before the next try, jittered."""
    return _PAUSE * random.uniform(0.5, 1.5)  # noqa: S311  nobody guesses it


def _cut(connection: Connection) -> None:
    if not connection.closed:
        # The peer may be gone already; the wait ends all the same.
        with socket.socket(fileno=os.dup(connection.fileno())) as end, contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _remaining(deadline: float) -> float:
    return deadline - asyncio.get_running_loop().time()
