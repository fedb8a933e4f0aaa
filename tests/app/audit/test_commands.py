"""What the command line says when the log cannot be read on."""

import asyncio
import os
import subprocess
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


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("worker",), ("audit", "key")])
async def test_nobody_signs_with_another_key_than_the_logs(
    database: str,
    connection: psycopg.AsyncConnection[Any],
    tmp_path: Path,
    command: tuple[str, ...],
) -> None:
    """As in another working directory, where `.data` is another one."""
    recorded = await asyncio.to_thread(
        testing.CliRunner().invoke,
        cli.main,
        ["token", "create", "--name", "ci", "--subject", "robot"],
        env={"DATABASE_URL": database},
    )
    assert recorded.exit_code == 0, recorded.output
    await conftest.seal(connection)

    refused = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", "from app.cli import main; main()", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=tmp_path,
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "DATABASE_URL": database,
            "SERVICEBOOK_EMBEDDED_S3": "false",
        },
    )

    assert refused.returncode == 1
    *_, line = refused.stderr.splitlines()
    assert line.startswith("Error: The log is signed with key ")
    file = tmp_path / ".data" / "audit_key.pem"
    assert f"the key {file} (SERVICEBOOK_AUDIT_KEY) is not there: put back" in line
    assert "Traceback" not in refused.stderr
    assert not is_there(file)


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


def is_there(file: Path) -> bool:
    return file.exists()
