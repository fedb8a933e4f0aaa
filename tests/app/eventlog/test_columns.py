from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors, sql

from app.eventlog import columns, command, log, statements
from domain import events

pytestmark = pytest.mark.anyio

MOMENT = datetime(2026, 3, 1, 9, 30, 15, 250001, tzinfo=UTC)
EARLY = datetime(1816, 2, 29, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=-5)))
ODD = ("", " ", "NULL", "{}", ",", '"', "\\", "it's", "line\nline", "ü 漢字 🜚", "$1 %s", "\x7f\x01")
VALUES: dict[str, tuple[object, ...]] = {
    "bool": (True, False),
    "int4": (0, 1, -1, 2**31 - 1, -(2**31)),
    "int8": (0, 1, -1, 2**63 - 1, -(2**63)),
    "int4[]": ([], [1], [3, -2]),
    "json": ({"b": 1, "a": [True, None, "ü"]}, [], 1, "x"),
    "jsonb": ({"b": 1, "a": [True, None, "ü"]}, [], 1, "x", {}),
    "text": ODD,
    "text[]": ([], list(ODD), ["a"], [""]),
    "timestamptz": (MOMENT, EARLY, datetime(2000, 1, 1, tzinfo=UTC)),
    "uuid": (UUID(int=0), UUID(int=2**128 - 1), UUID("5e7b1ceb-0000-5000-8000-00000000002a")),
    "uuid[]": ([], [UUID(int=7), UUID(int=8)]),
}


async def stored(
    database: str, types: dict[str, str], rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """Return what is in a table, in order, into which rows were written."""
    made = columns.Columns(types)
    text = made.insert(sql.Identifier("written")).as_string()
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        fields = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(type_name))
            for name, type_name in types.items()
        )
        await connection.execute(
            sql.SQL("CREATE TEMPORARY TABLE written (place serial, {})").format(fields)
        )
        for several in statements.in_turns([[(text, some) for some in made.values_in_order(rows)]]):
            await statements.execute(connection, *several)
        cursor = await connection.execute("SELECT * FROM written ORDER BY place")
        return [row[1:] for row in await cursor.fetchall()]


@pytest.mark.parametrize("type_name", VALUES)
async def test_every_type_is_read_back_as_it_was(database: str, type_name: str) -> None:
    for some in (VALUES[type_name], (None, *VALUES[type_name], None), (None, None)):
        rows = [(value, number) for number, value in enumerate(some)]

        assert await stored(database, {"value": type_name, "number": "int4"}, rows) == rows


@pytest.mark.parametrize("type_name", VALUES)
async def test_what_repeats_is_read_back_as_well(database: str, type_name: str) -> None:
    for value in VALUES[type_name]:
        rows = [(value, 1)] * 3

        assert await stored(database, {"value": type_name, "number": "int4"}, rows) == rows


async def test_json_that_python_takes_for_equal_stays_as_it_is(database: str) -> None:
    rows = [({"a": value}, 1) for value in (1, True, 1.0)]

    found = await stored(database, {"value": "json", "number": "int4"}, rows)

    assert [type(value["a"]) for value, _ in found] == [int, bool, float]


async def test_more_rows_than_a_statement_takes_keep_their_order(database: str) -> None:
    rows = [(f"row {number}", number) for number in range(1_000)]

    assert await stored(database, {"value": "text", "number": "int4"}, rows) == rows


@pytest.mark.parametrize("value", ["no\0text", ["no\0text"]])
async def test_a_nul_is_refused(value: object) -> None:
    made = columns.Columns({"value": "text" if isinstance(value, str) else "text[]", "n": "int4"})

    with pytest.raises(errors.UntranslatableCharacter):
        list(made.values_in_order([(value, 1)]))


async def test_long_commands_are_written_whole(
    event_log: log.EventLog,
    new_command: Callable[..., command.Command],
    member: Callable[..., events.MemberAdded],
    database: str,
) -> None:
    for _ in range(2):  # with a look at the log, and without
        added = [member(uuid4(), 1, subject=f"number {number}") for number in range(200)]

        receipt = await event_log.append(command=new_command(), events=added)

        found = await event_log.read(after=receipt.first_position - 1, limit=500)
        assert [event.event for event in found] == added
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute("SELECT count(*), count(DISTINCT id) FROM read.tallies")
        assert await cursor.fetchall() == [(800, 400)]


async def test_writing_is_planned_once(
    event_log: log.EventLog,
    new_command: Callable[..., command.Command],
    member: Callable[..., events.MemberAdded],
) -> None:
    aggregate_id = uuid4()
    for version in range(1, 21):
        await event_log.append(command=new_command(), events=[member(aggregate_id, version)])

    connection = event_log._writer._connection
    assert connection is not None
    cursor = await connection.execute(
        "SELECT custom_plans FROM pg_prepared_statements WHERE statement LIKE '%INSERT%'"
        " AND generic_plans > 0 ORDER BY generic_plans DESC LIMIT 1"
    )
    assert await cursor.fetchall() == [(0,)]
