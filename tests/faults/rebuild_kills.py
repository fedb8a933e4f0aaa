"""The rebuild of the read models is killed again and again; what it makes in the end is right.

The rows are compared with those that one undisturbed rebuild made.
"""

import json
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import psycopg
from psycopg import sql

import projections
from app.eventlog import mapper
from domain import events, values
from tests.faults import ground
from tests.journeys import product as products

_NAMES = UUID("5e7b1ceb-0000-5000-8000-00000000fa17")
_START = datetime(2026, 1, 1, tzinfo=UTC)
_OF_ONE = 100  # events of each project
_COPY = """
    COPY ledger.events (position, originator_id, originator_version, topic, state, event_id,
        command_id, metadata, recorded_at) FROM STDIN
"""
_DIGEST = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {} AS t"


def run(product: products.Product, *, events: int, kills: int) -> dict[str, object]:
    """Fill the log, rebuild once in peace, then with kills, and compare the rows."""
    _fill(product.dsn, events)
    started = time.monotonic()
    product.run("rebuild")
    undisturbed = time.monotonic() - started
    expected = _digests(product.dsn)
    killed = done = 0
    while killed < kills and done < kills:  # one may be done before its moment has come
        was_killed = _killed(product, within=undisturbed)
        killed, done = killed + was_killed, done + (not was_killed)
    made_before = _tables(product.dsn)
    product.run("rebuild")
    found = _digests(product.dsn)
    differing = sorted(name for name in expected if expected[name] != found[name])
    return {
        "events": events,
        "undisturbed_seconds": round(undisturbed, 1),
        "killed": killed,
        "done_before_it_was_killed": done,
        "rows": sum(rows for rows, _ in found.values()),
        "differing_tables": differing,
        "passed": not differing
        and made_before.isdisjoint(_tables(product.dsn))
        and killed == kills,
    }


def _killed(product: products.Product, *, within: float) -> bool:
    """Begin a rebuild and kill it; tell whether it was still at work."""
    with subprocess.Popen(
        [*products.COMMAND, "rebuild"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=product.directory,
        env=product.environment,
    ) as process:
        try:
            process.wait(random.uniform(within / 10, within))  # noqa: S311  any moment
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    return False


def _digests(dsn: str) -> dict[str, tuple[int, str]]:
    """Return the number of rows of each read model, and a sum over what they say."""
    with psycopg.connect(dsn) as connection:
        found = {}
        for name in _names():
            statement = sql.SQL(_DIGEST).format(sql.Identifier("read", name))
            [(count, digest)] = connection.execute(statement).fetchall()
            found[name] = (count, digest)
        return found


def _tables(dsn: str) -> set[int]:
    """Return what PostgreSQL calls the tables; a rebuild brings others."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT oid::int8 FROM pg_class WHERE relnamespace = 'read'::regnamespace"
            " AND relname = ANY(%s)",
            [_names()],
        )
        return {oid for (oid,) in rows}


def _names() -> list[str]:
    models = (*projections.PROJECTIONS, *projections.JOURNALS)
    return [model.table.name for model in models]


def _fill(dsn: str, count: int) -> None:
    """Put so many events into an empty log, past the writer: members who come and go."""
    metadata = json.dumps({"actor": "ada", "correlation_id": str(_NAMES)})
    event_mapper = mapper.EventMapper()
    with psycopg.connect(dsn) as connection:
        with connection.cursor().copy(_COPY) as copy:
            for position, event in enumerate(_history(count), start=1):
                stored = event_mapper.to_stored_event(event)
                command_id = uuid5(_NAMES, str(position))
                copy.write_row(
                    (
                        position,
                        stored.originator_id,
                        stored.originator_version,
                        stored.topic,
                        stored.state.decode(),
                        uuid5(command_id, "0"),
                        command_id,
                        metadata,
                        event.timestamp,
                    )
                )
        connection.execute(
            "UPDATE ledger.head SET position = %s, recorded_at = clock_timestamp()", [count]
        )


def _history(count: int) -> Iterator[events.Event]:
    for number in range(count):
        version = number % _OF_ONE + 1
        project_id = uuid5(_NAMES, f"project {number // _OF_ONE}")
        at = _START + timedelta(seconds=number)
        if version == 1:
            yield events.ProjectCreated(
                originator_id=project_id,
                originator_version=1,
                originator_topic="Project",
                timestamp=at,
                name=f"project-{number // _OF_ONE}",
            )
        else:
            yield events.MemberAdded(
                originator_id=project_id,
                originator_version=version,
                timestamp=at,
                subject=f"person-{version // 2}",
                role=(values.MemberRole.VIEWER, values.MemberRole.DEVELOPER)[version % 2],
            )


def main() -> None:
    """Run it at full size."""
    with (
        ground.prepared(max_wal_size="4GB") as place,
        tempfile.TemporaryDirectory(prefix="servicebook-faults-") as directory,
    ):
        product = products.Product(directory=Path(directory), dsn=place.dsn, settings={})
        ground.report(run(product, events=1_000_000, kills=20))


if __name__ == "__main__":
    main()
