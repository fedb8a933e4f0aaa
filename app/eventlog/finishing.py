"""Filled tables made ready to be read: their indexes, and what the planner knows of them."""

from app.eventlog import connections, pace, projecting
from projections import projection

# Most keys of a table are sorted in memory.
_MEMORY = "SET LOCAL maintenance_work_mem = '256MB'"
_STATE = """
    SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = it), pg_relation_size(it) > %s
    FROM to_regclass(%s) AS it
"""
_ASSUMED = 10 * 8_192
# So many bytes PostgreSQL plans for while it knows nothing of a table. A smaller one is not
# analyzed: plans for next to nothing would be kept when there is more.


async def finish(
    *, ways: connections.Connections, models: projecting.ReadModels, schema: str, at_once: int
) -> None:
    """Finish the tables that are not finished yet, so many at once."""
    # Journals come last, and are the largest.
    waiting = iter(models.tables[::-1])

    async def one_after_the_other() -> None:
        async with await ways.open(purpose="rebuild") as connection:
            for table in waiting:
                await _finish(connection, models, table, schema)

    await pace.together([one_after_the_other] * at_once)


async def _finish(
    connection: connections.Connection,
    models: projecting.ReadModels,
    table: projection.Table,
    schema: str,
) -> None:
    statements = models.sql[table.name]
    async with connection.transaction():
        cursor = await connection.execute(_STATE, [_ASSUMED, f'{schema}."{table.name}"'])
        [(is_finished, is_worth_knowing)] = await cursor.fetchall()
        if is_finished:
            return
        await connection.execute(_MEMORY)
        for statement in statements.create_indexes:
            await connection.execute(statement)
        if is_worth_knowing:
            await connection.execute(statements.analyze)
