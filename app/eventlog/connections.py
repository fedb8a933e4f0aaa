"""Deadlines that the client keeps, and a second try after a lost connection.

The server's own timeouts do not help against a peer that no longer answers: the socket is
shut down from this side, which ends whatever waits on it.
"""

import asyncio
import contextlib
import functools
import itertools
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
import psycopg
import psycopg_pool
from psycopg import conninfo, errors, pq
from psycopg.types import json

from app import cancellation, timers
from app.eventlog import asking, command

LOST = (
    psycopg.OperationalError,
    errors.IdleInTransactionSessionTimeout,
    errors.ReadOnlySqlTransaction,
)
"""What a lost, restarting or switching server looks like from here."""

_WAIT_FOR_CONNECTION = 0.25
_SHORTEST_PAUSE = 0.01
_LONGEST_PAUSE = 0.05
_TO_CONNECT = 2  # seconds, the least that libpq keeps to
_LONGEST_USE = 10.0  # seconds
_LOOKED_AT = 100  # of so many connections that come back, the pool sees one

Connection = psycopg.AsyncConnection[Any]
_Result = TypeVar("_Result")


class _SessionEndedError(psycopg.OperationalError):
    """One session is gone. Of a server that is down, the pool has none to lend."""


class Pool(psycopg_pool.AsyncConnectionPool[Connection]):
    """A pool whose connections are cut when somebody uses one for too long, and which lends fast.

    The first is for what does not keep a deadline of its own: a server that falls silent would
    otherwise hold it for ever. The second is for small statements: as long as nobody waits, a
    few connections go from hand to hand, without the pool's bookkeeping.
    """

    _waiting_for = 0
    _returned = 0

    @functools.cached_property
    def _at_hand(self) -> list[Connection]:
        return []

    async def getconn(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109  likewise
        """Return the connection that came back last, or one of the pool."""
        if self._at_hand:
            return self._at_hand.pop()
        self._waiting_for += 1
        try:
            return await super().getconn(timeout)
        finally:
            self._waiting_for -= 1

    async def putconn(self, conn: Connection) -> None:
        """Keep the connection at hand; now and then the pool takes it, and sees how old it is."""
        self._returned += 1
        if (
            self._waiting_for
            or len(self._at_hand) >= self.min_size
            or self._returned % _LOOKED_AT == 0
            or conn.pgconn.transaction_status != pq.TransactionStatus.IDLE
            or self.closed
        ):
            await super().putconn(conn)
        else:
            self._at_hand.append(conn)

    async def close(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109  likewise
        """Close the pool, and the connections at hand."""
        await super().close(timeout)
        while self._at_hand:
            await super().putconn(self._at_hand.pop())

    def get_stats(self) -> dict[str, int]:
        """Return the pool's numbers; what is at hand is available."""
        stats = super().get_stats()
        return stats | {"pool_available": stats["pool_available"] + len(self._at_hand)}

    @contextlib.asynccontextmanager
    async def connection(  # the signature is the pool's own
        self,
        timeout: float | None = None,  # noqa: ASYNC109  as above
    ) -> AsyncIterator[Connection]:
        """Lend a connection, for some seconds at most."""
        async with super().connection(timeout) as connection:
            with cut_after(connection, seconds=_LONGEST_USE):
                yield connection


class Connections:
    """The pool, with a deadline for all work done on its connections."""

    def __init__(self, *, pool: psycopg_pool.AsyncConnectionPool[Any], seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds
        self._cuts = timers.Timers(seconds / 2)

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
        for failures in itertools.count():
            try:
                with cancellation.heeded():
                    return await self._attempt(work, deadline)
            except psycopg_pool.PoolClosed as error:
                raise command.LogUnavailableError from error
            except LOST as error:
                if _remaining(deadline) <= _LONGEST_PAUSE:
                    raise command.LogUnavailableError from error
                # Whoever ends a session ends others, too: after a pause the next may be gone.
                seconds = 0.0 if isinstance(error, _SessionEndedError) else pause(failures)
            await asyncio.sleep(seconds)
        raise AssertionError("unreachable: the loop ends by returning or raising")

    async def ask(self, statement: bytes, values: Sequence[str | None] = ()) -> list[asking.Row]:
        """Ask a small statement, likewise."""

        async def work(connection: Connection) -> list[asking.Row]:
            return await asking.ask(connection, statement, values)

        return await self.run(work)

    async def open(self, *, purpose: str, options: str = "") -> Connection:
        """Open a connection beside the pool, in autocommit mode, for one long-lived use.

        The server's list of sessions shows the purpose; options are as in a connection string.
        """
        given = conninfo.conninfo_to_dict(self.conninfo).get("options") or ""
        connection = await psycopg.AsyncConnection.connect(
            self.conninfo,
            options=f"{given} {options}".strip(),
            autocommit=True,
            connect_timeout=_TO_CONNECT,
            application_name=f"servicebook {purpose}",
        )
        json.set_json_loads(msgspec.json.decode, connection)
        return connection

    async def _attempt(
        self, work: Callable[[Connection], Awaitable[_Result]], deadline: float
    ) -> _Result:
        # A short wait: the pool tries to connect at once only when somebody asks.
        patience = min(_WAIT_FOR_CONNECTION, max(0.0, _remaining(deadline)))
        connection = await self._pool.getconn(timeout=patience)
        # Half of the time: if this session has fallen silent, another may answer.
        cutting = self._cuts.start(functools.partial(cut, connection), within=_remaining(deadline))
        try:
            result = await work(connection)
            if connection.pgconn.transaction_status == pq.TransactionStatus.INTRANS:
                await connection.commit()
        except LOST as error:
            if connection.closed:
                raise _SessionEndedError from error
            raise
        else:
            return result
        finally:
            cutting.cancel()
            await self._pool.putconn(connection)  # which rolls back what was not committed


@contextlib.contextmanager
def cut_after(connection: Connection, *, seconds: float) -> Iterator[None]:
    """Shut the connection's socket down if the block takes longer."""
    handle = asyncio.get_running_loop().call_later(seconds, cut, connection)
    try:
        yield
    finally:
        handle.cancel()


def pause(failures: int = 3) -> float:
    """Return how long to wait before the next try, jittered; nothing after a first failure.

    A session that was ended is replaced at once, and a server that starts refuses at once, so
    that asking it often costs little.
    """
    if failures == 0:
        return 0.0
    longest = min(_SHORTEST_PAUSE * 2.0 ** (failures - 1), _LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1.5)  # noqa: S311  nobody guesses it


def cut(connection: Connection) -> None:
    """Shut the connection's socket down, which ends whatever waits on it."""
    if not connection.closed:
        # The peer may be gone already; the wait ends all the same.
        with socket.socket(fileno=os.dup(connection.fileno())) as end, contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _remaining(deadline: float) -> float:
    return deadline - asyncio.get_running_loop().time()
