"""How fast the read models are made anew: `python -m tests.benchmarks.rebuild`.

Fills a log of its own with the sizes of the target (2 million events) or a part of them.
"""

import argparse
import asyncio
import itertools
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import psycopg_pool

import projections
from app import embedded, migrations
from app.eventlog import mapper, rebuild
from domain import events, values

_START = datetime(2026, 1, 1, tzinfo=UTC)
_TICK = timedelta(milliseconds=5)
_NAMES = ("DEFAULT_DATABASE_DSN", "DATABASE_URL")
_COPY = (
    "COPY ledger.events (position, originator_id, originator_version, topic, state, event_id, "
    "command_id, metadata, recorded_at) FROM STDIN"
)
_EVENTS_PER_PROJECT = 400  # of all its streams, with 8 service instances in 2.5 environments


def _id(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


class _Stream:
    """Events of one aggregate."""

    def __init__(self, aggregate_id: UUID) -> None:
        self.id = aggregate_id
        self._version = 0

    def __call__(self, event_class: type[events.Event], **fields: object) -> events.Event:
        self._version += 1
        if issubclass(event_class, events.Created):
            fields["originator_topic"] = "Aggregate"  # nobody replays it
        return event_class(
            originator_id=self.id, originator_version=self._version, timestamp=_START, **fields
        )


def _service(stream: _Stream, chance: random.Random, **place: object) -> Iterator[events.Event]:
    """The life of a service instance: made, attached, then changed again and again."""
    operation, deployment, deadline = _id(chance), _id(chance), _START + timedelta(hours=1)
    applied = {"deployment_id": deployment, "prefix": "DEFAULT", "variable_names": _NAMES}
    yield stream(
        events.ServiceAdded,
        **place,
        offering="postgres",
        kind=values.ServiceKind.DATABASE,
        plan="small",
        region="eu",
        parameters={"extensions": ["postgis"], "size": 4},
        prefix="DEFAULT",
        variable_names=_NAMES,
        protected=True,
    )
    yield stream(
        events.ServiceProvisioningStarted, operation_id=operation, attempt=1, deadline=deadline
    )
    yield stream(events.ServiceProvisioned, operation_id=operation, secret_version=1, is_late=False)
    attach = values.DeploymentRole.ATTACH
    yield stream(events.ServiceDeploymentJoined, deployment_id=deployment, role=attach)
    yield stream(events.ServiceAttached, **applied, revision=1, secret_version=1)
    for secret in itertools.count(2):
        yield stream(
            events.ServiceUpdateStarted,
            operation_id=operation,
            plan="large",
            parameters={"extensions": ["postgis"], "size": secret},
            deadline=deadline,
        )
        yield stream(events.ServiceUpdated, operation_id=operation)
        yield stream(
            events.ServiceRotationStarted,
            operation_id=operation,
            secret_version=secret,
            deadline=deadline,
        )
        yield stream(
            events.ServiceCredentialsRotated, operation_id=operation, secret_version=secret
        )
        yield stream(
            events.ServiceConfigurationApplied, **applied, revision=secret, secret_version=secret
        )
        yield stream(events.ServiceCredentialsRevoked, secret_version=secret - 1)
        yield stream(events.ServiceDetachmentRequested)
        yield stream(events.ServiceAttachmentRequested)


def _project(chance: random.Random, number: int) -> Iterator[events.Event]:
    """A project, its environments and what is in them, at once as in life."""
    project, life = _Stream(_id(chance)), []
    yield project(events.ProjectCreated, name=f"project-{number}")
    yield project(events.MemberAdded, subject=f"person-{number}", role=values.MemberRole.MANAGER)
    for name in ("test", "live", "stage")[: 2 + number % 2]:
        environment = _Stream(_id(chance))
        yield project(
            events.EnvironmentListed,
            environment_id=environment.id,
            name=name,
            granted=("postgres", "s3"),
        )
        yield environment(
            events.EnvironmentCreated, project_id=project.id, name=name, protected=name == "live"
        )
        for _ in range(3 + number % 2):
            service = _Stream(_id(chance))
            taken = {"service_instance_id": service.id}
            yield project(events.UnitTaken, **taken, offering="postgres")
            yield environment(
                events.EnvironmentPrefixTaken,
                **taken,
                kind=values.ServiceKind.DATABASE,
                prefix="DEFAULT",
                variable_names=_NAMES,
            )
            life.append(
                _service(
                    service,
                    chance,
                    project_id=project.id,
                    environment_id=environment.id,
                    environment_name=name,
                )
            )
    while True:
        for stream in life:
            yield next(stream)


def _events(count: int) -> Iterator[events.Event]:
    chance = random.Random(7)  # noqa: S311  the same each time
    projects = [
        itertools.islice(_project(chance, number), _EVENTS_PER_PROJECT)
        for number in range(max(1, count // _EVENTS_PER_PROJECT))
    ]
    while projects:
        for project in list(projects):
            some = list(itertools.islice(project, 25))
            yield from some
            if not some:
                projects.remove(project)


def _rows(recorded: Iterable[events.Event]) -> Iterator[tuple[object, ...]]:
    chance = random.Random(8)  # noqa: S311  the same each time
    event_mapper = mapper.EventMapper()
    metadata = json.dumps({"actor": "user:ada", "correlation_id": str(_id(chance))})
    for position, event in enumerate(recorded, start=1):
        stored = event_mapper.to_stored_event(event)
        yield (
            position,
            stored.originator_id,
            stored.originator_version,
            stored.topic,
            stored.state.decode(),
            _id(chance),
            _id(chance),
            metadata,
            _START + position * _TICK,
        )


def fill(dsn: str, *, count: int) -> int:
    """Write about so many events, and return how many there are."""
    position = 0
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        with cursor.copy(_COPY) as copy:
            for row in _rows(_events(count)):
                copy.write_row(row)
                position = int(str(row[0]))
        cursor.execute(
            "UPDATE ledger.head SET position = %s, recorded_at = greatest(%s, recorded_at "
            "+ interval '1us')",
            [position, _START + position * _TICK],
        )
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE ledger.events")
    return position


async def measure(dsn: str, *, processes: int) -> dict[str, float]:
    """Rebuild twice, the second time over live rows, and return what it took."""
    models = {"projections": projections.PROJECTIONS, "journals": projections.JOURNALS}
    at_pace = rebuild.Pace(processes=processes)
    folded: list[float] = []
    async with psycopg_pool.AsyncConnectionPool(dsn, open=False, min_size=1) as pool:
        await rebuild.ensure_tables(pool=pool, at_pace=at_pace, **models)
        used, started = _cpu(), time.perf_counter()
        differences = await rebuild.rebuild(
            pool=pool,
            at_pace=at_pace,
            progress=lambda _position, _head: folded.append(time.perf_counter()),
            **models,
        )
        ended = time.perf_counter()
        used = _cpu() - used
    if differences:
        sys.exit(f"the rows differ: {differences}")
    return {"folded": folded[-1] - started, "all": ended - started, "cpu": used}


def _cpu() -> float:
    """Return the CPU time of this process and of those that folded for it."""
    own, folders = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return sum(it.ru_utime + it.ru_stime for it in (own, folders))


def main() -> None:
    """Fill, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="servicebook-bench-") as place:
        Path(place).chmod(0o711)
        with embedded.running(data=Path(place) / "postgres") as address:
            dsn = address.dsn(embedded.LEDGER_DATABASE)
            asyncio.run(migrations.migrate(conninfo=dsn))
            count = fill(dsn, count=chosen.events)
            took = asyncio.run(measure(dsn, processes=chosen.processes))
    sys.stdout.write(
        f"{count:,} events, {chosen.processes} processes\n"
        f"folded   {took['folded']:6.1f} s  {count / took['folded']:9,.0f} events/s\n"
        f"all      {took['all']:6.1f} s  {count / took['all']:9,.0f} events/s, with indexes, "
        "comparison and swap\n"
        f"CPU      {took['cpu']:6.1f} s  {took['cpu'] / count * 1e6:9,.1f} us/event, "
        "PostgreSQL's not included\n"
    )


if __name__ == "__main__":
    main()
