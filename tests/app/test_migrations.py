import asyncio
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from app import migrations

pytestmark = pytest.mark.anyio

OWN = [migration.name for migration in migrations.own_migrations()]
QUEUE = [migration.name for migration in migrations.queue_migrations()]


async def execute(database: str, statement: str, *values: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode(), values or None)
        return await cursor.fetchall() if cursor.description else []


async def test_empty_database_gets_everything_once(empty_database: str) -> None:
    told: list[str] = []

    first = await migrations.migrate(conninfo=empty_database, progress=told.append)
    second = await migrations.migrate(conninfo=empty_database, progress=told.append)

    assert first == OWN + QUEUE
    assert second == []
    assert told == [*OWN, "procrastinate/"]
    assert await execute(empty_database, "SELECT position FROM ledger.head") == [(0,)]
    assert await execute(empty_database, "SELECT count(*) FROM procrastinate_jobs") == [(0,)]


def test_files_are_numbered_without_gap() -> None:
    assert [int(name[:4]) for name in OWN] == list(range(1, len(OWN) + 1))


async def test_processes_that_start_together_wait_for_each_other(empty_database: str) -> None:
    script = (
        "import asyncio, sys; from app import migrations; "
        "print(len(asyncio.run(migrations.migrate(conninfo=sys.argv[1]))))"
    )
    starting = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", script, empty_database),
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(3)
    ]

    outputs = [await process.communicate() for process in starting]

    assert [process.returncode for process in starting] == [0, 0, 0]
    assert sorted(int(output) for output, _ in outputs) == [0, 0, len(OWN) + len(QUEUE)]


async def test_changed_file_is_refused(database: str) -> None:
    await execute(
        database, "UPDATE migrations.applied SET sha256 = 'other' WHERE name = %s", OWN[0]
    )

    with pytest.raises(migrations.MigrationChangedError, match=OWN[0]):
        await migrations.migrate(conninfo=database)


@pytest.mark.parametrize("name", ["9999_future.sql", "procrastinate/99.00.00_01_future.sql"])
async def test_newer_database_is_refused(database: str, name: str) -> None:
    await execute(database, "INSERT INTO migrations.applied VALUES (%s, 'x')", name)

    with pytest.raises(migrations.DatabaseTooNewError, match=name):
        await migrations.migrate(conninfo=database)


async def test_new_files_of_the_queue_are_applied_in_order(database: str) -> None:
    last = QUEUE[-1]
    await execute(database, "DELETE FROM migrations.applied WHERE name = %s", last)

    applied = await migrations.migrate(conninfo=database)

    assert applied == [last]


async def test_file_that_fails_leaves_nothing(empty_database: str) -> None:
    await execute(empty_database, "CREATE SCHEMA ledger")

    with pytest.raises(psycopg.errors.DuplicateSchema):
        await migrations.migrate(conninfo=empty_database)

    assert await execute(empty_database, "SELECT name FROM migrations.applied") == []


def test_old_server_is_refused() -> None:
    with pytest.raises(migrations.ServerTooOldError, match="PostgreSQL 15; use 16 or newer"):
        migrations._check_server(150007)
