"""Read models made anew from the log, beside the live ones, and swapped in.

The fresh tables grow in a schema of their own; appends and reads go on. At the end the head
is locked for a moment: the last events are folded and the tables change places.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import psycopg_pool
from psycopg import errors, sql

from app.eventlog import connections, mapper, projecting, reading, tables
from projections import projection

Progress = Callable[[int, int], None]
"""Told the position that is folded, and the last one."""

_FRESH = "read_next"
_LOCK = 7_310_579_002
_BATCH = 5_000
_CACHED_ROWS = 10_000
_SHORT_WAY = 500
# Shorter than PostgreSQL's deadlock_timeout: in a knot with readers, the swap gives way.
_PATIENCE = sql.SQL("SET LOCAL lock_timeout = '500ms'")


async def ensure_tables(
    *,
    pool: psycopg_pool.AsyncConnectionPool[Any],
    projections: Sequence[projection.Projection],
    journals: Sequence[projection.Journal],
    progress: Progress | None = None,
) -> list[str]:
    """Make the tables that are missing or of another version, and return their names.

    Processes that start together wait for each other.
    """
    async with await _connect(pool) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        cursor = await connection.execute("SELECT name, version FROM read.projections")
        stale, stale_journals = _stale(projections, journals, dict(await cursor.fetchall()))
        if stale:
            await _Rebuild(connection, stale, stale_journals, progress or _silent).run()
        return list(_versions(stale, stale_journals))


async def rebuild(
    *,
    pool: psycopg_pool.AsyncConnectionPool[Any],
    projections: Sequence[projection.Projection],
    journals: Sequence[projection.Journal],
    progress: Progress | None = None,
) -> None:
    """Make read models anew; a journal needs the projection that it follows beside it."""
    async with await _connect(pool) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        await _Rebuild(connection, projections, journals, progress or _silent).run()


class _Rebuild:
    """One pass over the log; changed rows are cached and written now and then."""

    def __init__(
        self,
        connection: connections.Connection,
        projections: Sequence[projection.Projection],
        journals: Sequence[projection.Journal],
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._models = projecting.ReadModels(
            projections=projections, journals=journals, schema=_FRESH
        )
        self._versions = _versions(projections, journals)
        self._progress = progress
        self._mapper = mapper.EventMapper()
        self._position = 0
        self._cache: dict[str, projecting.Rows] = {}
        self._dirty: dict[str, projecting.Rows] = {}

    async def run(self) -> None:
        """Create, fill and swap in the fresh tables."""
        await self._create()
        while await reading.head(self._connection) - self._position > _SHORT_WAY:
            await self._catch_up()
        await self._index()
        while not await self._swap():
            pass
        await self._connection.execute(_drop_fresh())

    async def _create(self) -> None:
        async with self._connection.transaction():
            await self._connection.execute(_drop_fresh())
            await self._connection.execute(
                sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(_FRESH))
            )
            for statements in self._models.sql.values():
                await self._connection.execute(statements.create)

    async def _index(self) -> None:
        for statements in self._models.sql.values():
            for statement in statements.create_indexes:
                await self._connection.execute(statement)

    async def _catch_up(self) -> None:
        """Fold what the log holds, and write all of it."""
        head = await reading.head(self._connection)
        while recorded := await reading.read(
            self._connection, event_mapper=self._mapper, after=self._position, limit=_BATCH
        ):
            await self._fold(recorded)
            self._position = recorded[-1].position
            self._progress(self._position, max(head, self._position))
        await self._flush()

    async def _fold(self, recorded: Sequence[projection.RecordedEvent]) -> None:
        await self._fetch(self._models.keys(recorded))
        folding = projecting.Folding(models=self._models, rows=self._cache)
        folding.keep(folding.fold(recorded))
        changes = folding.changes()
        for name, rows in changes.rows.items():
            self._cache[name].update(rows)
            self._dirty.setdefault(name, {}).update(rows)
        await projecting.write(
            self._connection, self._models, projecting.Staged(entries=changes.entries)
        )
        if sum(map(len, self._cache.values())) > _CACHED_ROWS:
            await self._flush()

    async def _fetch(self, keys: Mapping[str, Iterable[projection.Key]]) -> None:
        """Read the rows concerned that are not cached."""
        missing = {}
        for name, wanted in keys.items():
            cached = self._cache.setdefault(name, {})
            if absent := [key for key in wanted if key not in cached]:
                missing[name] = absent
        cursors = await projecting.ask(self._connection, self._models, missing)
        for name, rows in (await projecting.answers(self._models, missing, cursors)).items():
            self._cache[name].update(rows)

    async def _flush(self) -> None:
        await projecting.write(self._connection, self._models, projecting.Staged(rows=self._dirty))
        self._forget()

    def _forget(self) -> None:
        self._cache, self._dirty = {}, {}

    async def _swap(self) -> bool:
        """Fold the last events and swap; return False if readers held a table too long."""
        await self._catch_up()
        before = self._position
        try:
            async with self._connection.transaction():
                await self._connection.execute("SELECT position FROM ledger.head FOR UPDATE")
                await self._catch_up()
                await self._connection.execute(_PATIENCE)
                for table in self._models.tables:
                    await self._replace(table)
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            self._forget()
            self._position = before
            await asyncio.sleep(connections.pause())
            return False
        return True

    async def _replace(self, table: projection.Table) -> None:
        live, fresh = (sql.Identifier(schema, table.name) for schema in (tables.LIVE, _FRESH))
        await self._connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(live))
        await self._connection.execute(
            sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(fresh, sql.Identifier(tables.LIVE))
        )
        await self._connection.execute(
            "INSERT INTO read.projections (name, version) VALUES (%s, %s) "
            "ON CONFLICT (name) DO UPDATE SET version = excluded.version",
            [table.name, self._versions[table.name]],
        )


def _stale(
    projections: Sequence[projection.Projection],
    journals: Sequence[projection.Journal],
    versions: Mapping[str, int],
) -> tuple[list[projection.Projection], list[projection.Journal]]:
    """Return what is missing or of another version; a journal goes with what it follows."""
    wanted = _versions(projections, journals)
    names = {name for name, version in wanted.items() if versions.get(name) != version}
    names |= {journal.follows.table.name for journal in journals if journal.table.name in names}
    return (
        [model for model in projections if model.table.name in names],
        [journal for journal in journals if journal.follows.table.name in names],
    )


def _versions(
    projections: Sequence[projection.Projection], journals: Sequence[projection.Journal]
) -> dict[str, int]:
    return {model.table.name: model.version for model in projections} | {
        journal.table.name: journal.version for journal in journals
    }


async def _connect(pool: psycopg_pool.AsyncConnectionPool[Any]) -> connections.Connection:
    return await connections.Connections(pool=pool, seconds=5).open(purpose="rebuild")


def _drop_fresh() -> sql.Composed:
    return sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(_FRESH))


def _silent(_position: int, _head: int) -> None:
    """Report nothing."""
