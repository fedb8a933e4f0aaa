"""What is asked with every request is answered from indexes, however little there was at first."""

import re
from typing import Any

import psycopg
import pytest

from app import bootstrap
from app.access import tokens
from app.application import admission
from app.eventlog import loading

pytestmark = pytest.mark.anyio

STATEMENTS = {
    "token": tokens._FIND,
    "load": loading._LOAD,
    **{place.name.lower(): statement for place, statement in admission._STATEMENTS.items()},
}


def scanned(plan: dict[str, Any]) -> set[str]:
    """Return the tables that a plan reads from end to end."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*(scanned(part) for part in plan.get("Plans", ())))


@pytest.mark.parametrize("name", STATEMENTS)
async def test_plan_from_before_there_was_anything_uses_indexes(database: str, name: str) -> None:
    await bootstrap.prepare(conninfo=database, progress=lambda _: None)
    statement = STATEMENTS[name]
    nothing = ", ".join(["NULL"] * len(set(re.findall(rb"\$\d", statement))))

    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute(b"PREPARE asked AS " + statement)
        explain = f"EXPLAIN (FORMAT JSON) EXECUTE asked ({nothing})"
        [([explained],)] = await (await connection.execute(explain.encode())).fetchall()

    assert scanned(explained["Plan"]) <= {"head"}  # which has one row
