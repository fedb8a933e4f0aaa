from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql

from app.eventlog import command, log
from domain import events

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.events SET topic = 'Other'",
        "DELETE FROM ledger.events",
        "TRUNCATE ledger.events",
        "UPDATE ledger.commands SET fingerprint = 'other'",
        "DELETE FROM ledger.commands",
        "TRUNCATE ledger.commands",
        "TRUNCATE ledger.events, ledger.commands, ledger.head CASCADE",
        "DELETE FROM ledger.head",
        "SET session_replication_role = replica; DELETE FROM ledger.events",
    ],
)
async def test_the_log_only_grows(
    event_log: log.EventLog,
    new_command: Callable[..., command.Command],
    member: Callable[..., events.MemberAdded],
    database: str,
    statement: str,
) -> None:
    await event_log.append(command=new_command(), events=[member(uuid4(), 1)])

    async with await psycopg.AsyncConnection.connect(database) as connection:
        with pytest.raises(errors.InsufficientPrivilege, match="what is recorded stays"):
            await connection.execute(statement.encode())

    assert await event_log.head() == 1
    assert len(await event_log.read(after=0, limit=10)) == 1


@pytest.mark.parametrize(
    "change",
    [
        "position = position - 1",
        "position = position",
        "position = position + 1, recorded_at = recorded_at",
        "position = position + 1, recorded_at = recorded_at - interval '1 second'",
        "recorded_at = recorded_at + interval '1 second'",
    ],
)
async def test_the_head_only_moves_forward(database: str, change: str) -> None:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        with pytest.raises(errors.InsufficientPrivilege, match="only moves forward"):
            await connection.execute(sql.SQL("UPDATE ledger.head SET {}").format(sql.SQL(change)))


async def test_there_is_one_head(database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        with pytest.raises(errors.UniqueViolation):
            await connection.execute("INSERT INTO ledger.head VALUES (9, now())")
