"""Reads of one process, beside a bare handler and beside data loaders over the same rows.

    python -m tests.benchmarks.reads [seconds of a measurement]

All answers are compared before anything is timed. The figures are requests in a second by wrk
(`apt-get install wrk`), and the processor time that the process itself took for each: the
machine's processors are shared by the server, PostgreSQL and wrk.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psycopg

from app import embedded, migrations
from app.graphql import identifiers
from tests.journeys import client, product

_ENVIRONMENTS = 400
_SERVICES = 10  # in each
_ENTRIES = 12  # of each
_CONNECTIONS = (1, 32, 256)
_ENVIRONMENT = """query ($id: ID!) { environment(by: {id: $id}) { id name
  serviceInstances(first: 10) { nodes { id kind prefix state
    history(last: 5) { nodes { position event sentence actor recordedAt } } } } } }"""
_POINT = "query ($id: ID!) { serviceInstance(id: $id) { id kind prefix state version } }"
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_ERRORS = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_PEERS = ("bare", "loaders")
_HEAD = (
    "query", "connections", "who", "requests/s", "us of its own", "of PostgreSQL",
    "x bare", "x loaders",
)  # fmt: skip
_GROW = """
WITH shown AS (SELECT * FROM read.environments WHERE name = 'test' LIMIT 1),
grown AS (
    INSERT INTO read.environments
    SELECT (jsonb_populate_record(NULL::read.environments, to_jsonb(e) || jsonb_build_object(
        'id', gen_random_uuid(), 'name', 'grown-' || n))).*
    FROM shown AS e, generate_series(1, {environments}) AS n
    RETURNING id, name
), served AS (
    INSERT INTO read.service_instances
    SELECT (jsonb_populate_record(NULL::read.service_instances, to_jsonb(s) || jsonb_build_object(
        'id', gen_random_uuid(), 'environment_id', g.id, 'environment_name', g.name,
        'prefix', 'P' || n))).*
    FROM grown AS g, generate_series(1, {services}) AS n, (SELECT i.* FROM
        read.service_instances AS i JOIN shown ON shown.id = i.environment_id LIMIT 1) AS s
    RETURNING id
)
INSERT INTO read.lifecycle_history
SELECT (jsonb_populate_record(NULL::read.lifecycle_history, to_jsonb(h) || jsonb_build_object(
    'service_instance_id', s.id, 'version', n, 'position', n))).*
FROM served AS s, generate_series(1, {entries}) AS n,
    (SELECT * FROM read.lifecycle_history LIMIT 1) AS h
"""


@contextlib.contextmanager
def _serving() -> Iterator[client.Api]:
    with tempfile.TemporaryDirectory(prefix="servicebook-bench-") as place:
        directory = Path(place, "data")
        Path(place).chmod(0o711)
        directory.mkdir(mode=0o711)
        with embedded.running(data=Path(place, "postgres")) as server:
            with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
                connection.execute("CREATE DATABASE migrated")
            asyncio.run(migrations.migrate(conninfo=server.dsn("migrated")))
            settings = {"SERVICEBOOK_LIMIT_BUDGET": "1000000000000"}
            with product.prepared(
                server=server, template="migrated", directory=directory, settings=settings
            ) as served:
                served.start()
                api = client.Api(served)
                try:
                    yield api
                finally:
                    api.close()
                    served.stop(within=10)


def _grow(api: client.Api) -> tuple[list[str], list[str]]:
    """Fill the read models; return ids of environments and of service instances."""
    api.project()
    statement = _GROW.format(environments=_ENVIRONMENTS, services=_SERVICES, entries=_ENTRIES)
    with psycopg.connect(api.product.dsn, autocommit=True) as connection:
        connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
        found = connection.execute("SELECT id FROM read.environments WHERE name LIKE 'grown-%'")
        environments = [
            identifiers.text(type_name="Environment", uuid=id_) for (id_,) in found.fetchall()
        ]
        found = connection.execute("SELECT id FROM read.service_instances WHERE prefix LIKE 'P%'")
        services = [
            identifiers.text(type_name="ServiceInstance", uuid=id_) for (id_,) in found.fetchall()
        ]
    return environments, services


@contextlib.contextmanager
def _peer(name: str, dsn: str) -> Iterator[tuple[str, int]]:
    """Run a peer; hold its address and process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.benchmarks.peers.{name}"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DATABASE_URL": dsn},
        cwd=product.ROOT,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.kill()
        process.wait()


def _require_same(addresses: Sequence[str], token: str, query: str, ids: Sequence[str]) -> None:
    for id_ in random.sample(list(ids), 20):
        answers = [_asked(address, token, query, id_) for address in addresses]
        assert "errors" not in answers[0], answers[0]
        assert all(each == answers[0] for each in answers), answers


def _asked(address: str, token: str, query: str, id_: str) -> Any:  # noqa: ANN401  JSON
    return httpx.post(
        f"{address}/graphql",
        json={"query": query, "variables": {"id": id_}},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    ).json()


def _script(place: Path, token: str, query: str, ids: Sequence[str]) -> Path:
    """Write what wrk sends: the query, each time for another id."""
    listed = ", ".join(f'"{id_}"' for id_ in random.sample(list(ids), min(len(ids), 1000)))
    head, tail = json.dumps({"query": query, "variables": {"id": "%"}}).split("%")
    script = place / "ask.lua"
    script.write_text(
        f"local ids = {{ {listed} }}\nlocal head, tail = [==[{head}]==], [==[{tail}]==]\n"
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f'wrk.headers["Authorization"] = "Bearer {token}"\n'
        "request = function() return wrk.format(nil, nil, nil,"
        " head .. ids[math.random(#ids)] .. tail) end\n"
    )
    return script


def _measured(
    address: str, pid: int, script: Path, *, dsn: str, connections: int, seconds: int
) -> Any:  # noqa: ANN401  rate and processor time
    """Return requests in a second, and microseconds of the process's own for each."""
    command = [
        "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
        "--timeout", "30s", "--script", str(script), f"{address}/graphql",
    ]  # fmt: skip
    used, database, began = _processor(pid), _database(dsn), time.monotonic()
    ran = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used, database = _processor(pid) - used, _database(dsn) - database
    lasted = time.monotonic() - began
    assert not _ERRORS.search(ran), ran
    found = _RATE.search(ran)
    assert found is not None, ran
    rate = float(found[1])
    each = 1e6 / max(1.0, rate * lasted)
    return rate, used * each, database * each


def _database(dsn: str) -> float:
    """Return the processor seconds of the sessions of PostgreSQL: all stay open meanwhile."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        ).fetchall()
    return sum(_processor(pid) for (pid,) in found)


def _processor(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with _serving() as api, contextlib.ExitStack() as stack:
        environments, services = _grow(api)
        dsn = api.product.dsn
        running = {"servicebook": (api.product.url, api.product.pid)}
        for name in _PEERS:
            running[name] = stack.enter_context(_peer(name, dsn))
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        print(*(f"{name:>{max(12, len(name))}}" for name in _HEAD))
        for title, query, ids in (
            ("environment", _ENVIRONMENT, environments),
            ("point", _POINT, services),
        ):
            token = api.product.token
            _require_same([address for address, _ in running.values()], token, query, ids)
            script = _script(place, token, query, ids)
            for connections in _CONNECTIONS:
                rates = {}
                for name, (address, pid) in running.items():
                    _measured(address, pid, script, dsn=dsn, connections=connections, seconds=1)
                    rates[name] = _measured(
                        address, pid, script, dsn=dsn, connections=connections, seconds=seconds
                    )
                for name, (rate, own, database) in rates.items():
                    ratios = [rate / max(rates[peer][0], 0.1) for peer in _PEERS]
                    print(
                        f"{title:>12} {connections:12} {name:>12}",
                        f"{rate:12.0f} {own:13.0f} {database:13.0f}",
                        *(f"{ratio:12.2f}" for ratio in ratios),
                        flush=True,
                    )


if __name__ == "__main__":
    main()
