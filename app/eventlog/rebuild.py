"""Read models made anew from the log, beside the live ones, and swapped in.

The fresh tables grow in a schema of their own; appends and reads go on. First the log up to
its head is folded in parts (`parts`), then what was recorded meanwhile (`catching_up`). The
rows are compared with the live ones as of one position (`comparison`). At the end the head is
locked for a moment: the last events are folded and the tables change places. What was done is
noted beside the fresh tables, so that a rebuild that was killed goes on where it stopped.
"""

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import psycopg
import psycopg_pool
from psycopg import errors, sql

from app.eventlog import (
    catching_up,
    comparison,
    connections,
    finishing,
    pace,
    parts,
    projecting,
    reading,
    swapping,
)
from projections import projection

Progress = Callable[[int, int], None]
"""Told about how many events are folded, and how many there are."""

Difference = comparison.Difference
Pace = pace.Pace
UNHURRIED = pace.UNHURRIED

_FRESH = "read_next"
_LOCK = 7_310_579_002
_SHORT_WAY = 500
_SECONDS = 5.0
# Shorter than PostgreSQL's deadlock_timeout: in a knot with readers, the swap gives way.
_PATIENCE = sql.SQL("SET LOCAL lock_timeout = '500ms'")
_NOTES = f"""
    CREATE SCHEMA {_FRESH};
    CREATE TABLE {_FRESH}.progress (
        made text, head bigint, parts integer, position bigint, is_indexed boolean
    );
    CREATE TABLE {_FRESH}.parts (number integer PRIMARY KEY);
"""
_DROP = f"DROP SCHEMA IF EXISTS {_FRESH} CASCADE"


async def ensure_tables(
    *,
    pool: psycopg_pool.AsyncConnectionPool[Any],
    projections: Sequence[projection.Projection],
    journals: Sequence[projection.Journal],
    at_pace: Pace = pace.UNHURRIED,
) -> list[str]:
    """Make the tables that are missing or of another version, and return their names.

    Processes that start together wait for each other.
    """
    async with _alone(pool) as (connection, ways):
        cursor = await connection.execute("SELECT name, version FROM read.projections")
        stale, stale_journals = projecting.stale(
            projections, journals, dict(await cursor.fetchall())
        )
        if stale:
            made = _Rebuild(connection, ways, stale, stale_journals)
            comparison.tell(await made.fill(_silent, at_pace))
            await made.swap()
        return list(projecting.versions(stale, stale_journals))


async def rebuild(
    *,
    pool: psycopg_pool.AsyncConnectionPool[Any],
    projections: Sequence[projection.Projection],
    journals: Sequence[projection.Journal],
    progress: Progress | None = None,
    at_pace: Pace = pace.UNHURRIED,
) -> list[Difference]:
    """Make read models anew and return what differs from the live ones.

    A journal needs the projection that it follows beside it.
    """
    async with _alone(pool) as (connection, ways):
        made = _Rebuild(connection, ways, projections, journals)
        found = await made.fill(progress or _silent, at_pace)
        comparison.tell(found)
        await made.swap()
        return found


async def check(
    *,
    pool: psycopg_pool.AsyncConnectionPool[Any],
    projections: Sequence[projection.Projection],
    journals: Sequence[projection.Journal],
    progress: Progress | None = None,
    at_pace: Pace = pace.UNHURRIED,
) -> list[Difference]:
    """Like rebuild, but throw the fresh tables away: the live ones stay."""
    async with _alone(pool) as (connection, ways):
        made = _Rebuild(connection, ways, projections, journals)
        found = await made.fill(progress or _silent, at_pace)
        await connection.execute(_DROP)
        return found


@dataclasses.dataclass(frozen=True)
class _Noted:
    """How far a rebuild is: parts of the log up to `head`, then the rest up to `position`."""

    head: int
    parts: int
    position: int
    is_indexed: bool


class _Rebuild:
    """Fresh tables, from nothing to the swap."""

    def __init__(
        self,
        connection: connections.Connection,
        ways: connections.Connections,
        projections: Sequence[projection.Projection],
        journals: Sequence[projection.Journal],
    ) -> None:
        self._connection = connection
        self._models = projecting.ReadModels(
            projections=projections, journals=journals, schema=_FRESH
        )
        self._versions = projecting.versions(projections, journals)
        self._ways = ways
        self._rest: catching_up.CatchingUp

    async def fill(self, progress: Progress, at_pace: Pace) -> list[Difference]:
        """Create and fill the fresh tables, or go on with it, and compare them."""
        noted = await self._noted() or await self._create()
        await self._fold_parts(noted, progress, at_pace)
        if not noted.is_indexed:
            await self._finish(at_pace)
        self._rest = catching_up.CatchingUp(
            connection=self._connection,
            models=self._models,
            schema=_FRESH,
            position=noted.position,
        )
        while await reading.head(self._connection) - self._rest.position > _SHORT_WAY:
            await self._rest.catch_up()
        return await self._compare()

    async def swap(self) -> None:
        """Put the fresh tables in the place of the live ones."""
        while not await self._try_swap():
            pass

    async def _noted(self) -> _Noted | None:
        """Return how far a rebuild of the same tables came; None if there was none."""
        try:
            cursor = await self._connection.execute(
                sql.SQL(
                    "SELECT head, parts, position, is_indexed FROM {}.progress WHERE made = %s"
                ).format(sql.Identifier(_FRESH)),
                [self._made()],
            )
        except errors.UndefinedTable:
            return None
        row = await cursor.fetchone()
        return None if row is None else _Noted(*row)

    def _made(self) -> str:
        """Return what tells the tables and versions that are made, and in which way."""
        shapes = [
            (self._versions[name], sql.SQL("; ").join([it.create, *it.create_indexes]).as_string())
            for name, it in self._models.sql.items()
        ]
        return hashlib.sha256(repr(shapes).encode()).hexdigest()

    async def _create(self) -> _Noted:
        head = await reading.head(self._connection)
        noted = _Noted(head=head, parts=-(-head // parts.EVENTS), position=head, is_indexed=False)
        async with self._connection.transaction():
            await self._connection.execute(_DROP)
            await self._connection.execute(_NOTES)
            for statements in self._models.sql.values():
                await self._connection.execute(statements.create)
            await self._connection.execute(
                sql.SQL("INSERT INTO {}.progress VALUES (%s, %s, %s, %s, %s)").format(
                    sql.Identifier(_FRESH)
                ),
                [self._made(), *dataclasses.astuple(noted)],
            )
        return noted

    async def _fold_parts(self, noted: _Noted, progress: Progress, at_pace: Pace) -> None:
        cursor = await self._connection.execute(
            sql.SQL("SELECT number FROM {}.parts").format(sql.Identifier(_FRESH))
        )
        done = {number for (number,) in await cursor.fetchall()}
        missing = [number for number in range(noted.parts) if number not in done]
        counted = itertools.count(len(done) + 1)
        work = parts.Work(
            conninfo=self._ways.conninfo,
            models=self._models,
            schema=_FRESH,
            head=noted.head,
            count=noted.parts,
        )
        await at_pace.fold(
            work,
            missing,
            done=lambda: progress(noted.head * next(counted) // noted.parts, noted.head),
        )

    async def _finish(self, at_pace: Pace) -> None:
        await finishing.finish(
            ways=self._ways, models=self._models, schema=_FRESH, at_once=at_pace.processes
        )
        await self._connection.execute(
            sql.SQL("UPDATE {}.progress SET is_indexed = true").format(sql.Identifier(_FRESH))
        )

    async def _compare(self) -> list[Difference]:
        """Compare both in a transaction that sees them at one position."""
        await self._connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        try:
            async with self._connection.transaction():
                await self._rest.catch_up()
                return await comparison.differences(
                    self._connection,
                    made=self._models.tables,
                    schema=_FRESH,
                    versions=self._versions,
                )
        finally:
            await self._connection.set_isolation_level(None)

    async def _try_swap(self) -> bool:
        """Fold the last events and swap; return False if readers held a table too long."""
        await self._rest.catch_up()
        before = self._rest.position
        try:
            async with self._connection.transaction():
                await swapping.hold_off_vacuum(self._connection, self._models.tables)
                await self._rest.catch_up()
                await self._connection.execute("SELECT position FROM ledger.head FOR UPDATE")
                await self._rest.catch_up()
                await self._connection.execute(_PATIENCE)
                for table in self._models.tables:
                    await swapping.replace(
                        self._connection,
                        table,
                        schema=_FRESH,
                        version=self._versions[table.name],
                    )
                await self._connection.execute(_DROP)
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            self._rest.go_back_to(before)
            await asyncio.sleep(connections.pause())
            return False
        return True


@contextlib.asynccontextmanager
async def _alone(
    pool: psycopg_pool.AsyncConnectionPool[Any],
) -> AsyncIterator[tuple[connections.Connection, connections.Connections]]:
    """Yield a connection and the way to others; one process at a time gets that far."""
    ways = connections.Connections(pool=pool, seconds=_SECONDS)
    async with await ways.open(purpose="rebuild") as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        yield connection, ways


def _silent(_position: int, _head: int) -> None:
    """Report nothing."""
