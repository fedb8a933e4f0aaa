"""What the command line says when the log cannot be read on."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click import testing

from app import cli
from app.audit import commands
from app.eventlog import log
from tests.app.audit import conftest

pytestmark = pytest.mark.anyio

PATIENCE = 60.0


async def test_a_follower_is_told_plainly_that_the_log_was_restored(
    database: str,
    event_log: log.EventLog,
    connection: psycopg.AsyncConnection[Any],
    tmp_path: Path,
) -> None:
    await conftest.record(event_log, count=5)
    following = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from app.cli import main; main()", "events", "follow"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "DATABASE_URL": database,
        },
    )
    assert following.stdout is not None
    async with asyncio.timeout(PATIENCE):
        for _ in range(5):
            await following.stdout.readline()
        # As if the log had been restored as of position 3, and had grown again.
        await connection.execute(
            "INSERT INTO ledger.epochs (number, began_after, birthmark)"
            " VALUES (2, 3, ledger.birthmark())"
        )
        await conftest.record(event_log, count=3)

        _, told = await following.communicate()

    assert following.returncode == 1
    assert told.decode().startswith("Error: The log was restored to an older point")
    assert "Traceback" not in told.decode()


async def test_an_export_of_a_log_that_does_not_answer_says_so(
    database: str,
    event_log: log.EventLog,
    connection: psycopg.AsyncConnection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "_SECONDS", 0.5)
    await conftest.record(event_log, count=5)
    async with connection.transaction():
        await connection.execute("LOCK TABLE ledger.events IN ACCESS EXCLUSIVE MODE")

        done = await asyncio.to_thread(
            testing.CliRunner().invoke,
            cli.main,
            ["events", "export"],
            env={"DATABASE_URL": database},
        )

    assert done.exit_code == 1
    assert done.stderr == "Error: The event log cannot be reached. Try again later.\n"
