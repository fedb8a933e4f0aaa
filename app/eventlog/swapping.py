"""Fresh tables in the place of live ones, in one transaction that commands wait for."""

from collections.abc import Sequence

from psycopg import sql

from app.eventlog import connections, tables
from projections import projection

# Longer than PostgreSQL's deadlock_timeout, after which an autovacuum gives way.
_PATIENCE = sql.SQL("SET LOCAL lock_timeout = '5s'")
_LIVE = (
    "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relname = ANY(%s)"
)


async def hold_off_vacuum(
    connection: connections.Connection, made: Sequence[projection.Table]
) -> None:
    """Wait for vacuums of the live tables, and let no other begin until the transaction ends.

    Called before the head is locked, so that commands do not wait for them.
    """
    await connection.execute(_PATIENCE)
    cursor = await connection.execute(_LIVE, [tables.LIVE, [table.name for table in made]])
    for (name,) in await cursor.fetchall():
        await connection.execute(
            sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(
                sql.Identifier(tables.LIVE, name)
            )
        )


async def replace(
    connection: connections.Connection, table: projection.Table, *, schema: str, version: int
) -> None:
    """Put the table in a schema in the place of the live one, and leave it to autovacuum."""
    live, fresh = (sql.Identifier(name, table.name) for name in (tables.LIVE, schema))
    await connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(live))
    await connection.execute(
        sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(fresh, sql.Identifier(tables.LIVE))
    )
    await connection.execute(sql.SQL("ALTER TABLE {} RESET (autovacuum_enabled)").format(live))
    await connection.execute(
        "INSERT INTO read.projections (name, version) VALUES (%s, %s) "
        "ON CONFLICT (name) DO UPDATE SET version = excluded.version",
        [table.name, version],
    )
