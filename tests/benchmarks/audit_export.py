"""How fast the log is exported, beside what COPY makes of the same rows.

    python -m tests.benchmarks.audit_export [events]

COPY writes the columns as they are stored; an export writes each event as a CloudEvent in JSON.
"""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import psycopg_pool

from app import bootstrap, embedded
from app.audit import exporting, feed
from app.eventlog import connections, hints
from tests.journeys import product as products

EVENTS = 300_000
TEMPLATE = "filled"
_FILL = """
    INSERT INTO ledger.events
    SELECT n, md5((n / 8)::text)::uuid, n %% 8 + 1, 'ServiceDetachmentRequested',
        json_build_object('environment_id', md5((n / 80)::text)::uuid, 'originator_topic',
            'ServiceInstance', 'requested_by', 'ada', 'timestamp', now())::text::json,
        gen_random_uuid(), gen_random_uuid(), json_build_object('actor', 'ada-' || n %% 90,
        'correlation_id', gen_random_uuid(), 'reason', 'moved to another database'),
        now() + n * interval '1 microsecond'
    FROM generate_series(1, %s) AS n
"""
_COPY = "COPY ledger.events TO STDOUT"
_COPY_LINES = (
    "COPY (SELECT json_build_object('position', position, 'type', topic, 'data', state,"
    " 'id', event_id, 'metadata', metadata, 'time', recorded_at, 'subject', originator_id)"
    " FROM ledger.events ORDER BY position) TO STDOUT"
)


async def measure(server: embedded.Address, *, events: int) -> None:
    """Fill a database, export it in several ways, and print how long each took."""
    dsn = await _filled(server, events)
    plain = await _timed(lambda: _copied(dsn, _COPY))
    json_ = await _timed(lambda: _copied(dsn, _COPY_LINES))
    store = await _timed(lambda: _exported(dsn, events))
    print(f"{events:,} events                 events a second   of COPY")
    _show("COPY of the rows", events, plain, plain)
    _show("COPY of JSON made of them", events, json_, plain)
    _show("export at the store", events, store, plain)
    with tempfile.TemporaryDirectory() as place:
        prepared = products.prepared(
            server=server, template=TEMPLATE, directory=Path(place), settings={}
        )
        with prepared as product:
            await asyncio.to_thread(product.start)
            await _sealed(product, events)
            for encoding in ("identity", "zstd", "gzip"):
                seconds = await _timed(lambda encoding=encoding: _fetched(product, encoding))
                _show(f"export over HTTP, {encoding}", events, seconds, plain)


def _show(what: str, events: int, seconds: float, plain: float) -> None:
    print(f"{what:35} {events / seconds:10,.0f}   {plain / seconds:7.0%}")


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    started = time.monotonic()
    await work()
    return time.monotonic() - started


async def _copied(dsn: str, statement: str) -> None:
    """Let psql do it: its loop is C."""
    psql = await asyncio.create_subprocess_exec(
        embedded.program("psql"), dsn, "-c", statement, stdout=asyncio.subprocess.DEVNULL
    )
    if await psql.wait():
        raise OSError("psql failed")


async def _exported(dsn: str, events: int) -> None:
    async with psycopg_pool.AsyncConnectionPool(
        dsn, min_size=2, open=False, kwargs={"autocommit": True}
    ) as pool:
        ledger = connections.Connections(pool=pool, seconds=60.0)
        source = feed.Feed(pool=ledger, hints=hints.Hints(pool=ledger))
        lines = 0
        async for chunk in source.read(exporting.Export(), after=0, until=events):
            lines += chunk.text.count(b"\n")
    if lines != events:
        raise AssertionError(f"{lines} lines")


async def _fetched(product: products.Product, encoding: str) -> None:
    headers = {"Authorization": f"Bearer {product.token}", "Accept-Encoding": encoding}
    async with (
        httpx.AsyncClient(timeout=None) as http,  # noqa: S113  as long as it takes
        http.stream("GET", f"{product.url}/audit/events", headers=headers) as answer,
    ):
        answer.raise_for_status()
        async for _ in answer.aiter_raw():
            pass


async def _sealed(product: products.Product, events: int) -> None:
    """Wait until the tree is as large as the log: sealing would take its share of the machine."""
    headers = {"Authorization": f"Bearer {product.token}"}
    async with httpx.AsyncClient(base_url=product.url, headers=headers) as http:
        path = f"/audit/checkpoint?size={events}"
        while (await http.get(path)).status_code != httpx.codes.OK:  # noqa: ASYNC110  no news of it
            await asyncio.sleep(0.2)


async def _filled(server: embedded.Address, events: int) -> str:
    async with _connected(server.dsn("postgres")) as connection:
        await connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
    dsn = server.dsn(TEMPLATE)
    await bootstrap.prepare(conninfo=dsn, progress=lambda _: None)  # no event to fold yet
    async with _connected(dsn) as connection:
        await connection.execute(_FILL, [events])
        await connection.execute(
            "UPDATE ledger.head SET position = %s, recorded_at = now()", [events]
        )
        await connection.execute("VACUUM ANALYZE ledger.events")
    return dsn


@contextlib.asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield connection


def main() -> None:
    """Run a server for it."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o711)
        with embedded.running(data=Path(place) / "postgres") as address:
            asyncio.run(measure(address, events=events))


if __name__ == "__main__":
    main()
