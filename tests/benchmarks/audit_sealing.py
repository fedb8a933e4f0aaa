"""How far the tree is behind a log that grows as fast as it can.

python -m tests.benchmarks.audit_sealing [seconds]
"""

import asyncio
import contextlib
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import psycopg_pool
from cryptography.hazmat.primitives.asymmetric import ed25519

from app import embedded, migrations
from app.audit import sealer, witnesses
from app.eventlog import command, connections, log
from domain import events, values

CALLERS = 64
SECONDS = 10
_BEHIND = """
    SELECT head.position - coalesce((SELECT max(size) FROM audit.checkpoints), 0),
        coalesce(extract(epoch FROM clock_timestamp() - (
            SELECT recorded_at FROM ledger.events WHERE position =
            coalesce((SELECT max(size) FROM audit.checkpoints), 0) + 1)), 0)::float8
    FROM ledger.head AS head
"""


async def measure(dsn: str, *, seconds: float) -> None:
    """Append and seal at once, and print how that went."""
    await migrations.migrate(conninfo=dsn)
    until = time.monotonic() + seconds
    async with _event_log(dsn) as (event_log, ledger):
        told = witnesses.Witnesses([])
        key = ed25519.Ed25519PrivateKey.generate()
        sealing = asyncio.create_task(sealer.Sealer(pool=ledger, key=key, told=told).run())
        watching = asyncio.create_task(_watch(dsn, until))
        counts = await asyncio.gather(*(_append(event_log, until) for _ in range(CALLERS)))
        behind, late = await watching
        sealing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sealing
    print(f"events a second, sealed as they come   {sum(counts) / seconds:8,.0f}")
    print(f"most events behind                     {behind:8,}")
    print(f"longest that an event was uncovered, s {late:8.2f}")


async def _append(event_log: log.EventLog, until: float) -> int:
    project, version = uuid.uuid4(), 0
    while time.monotonic() < until:
        version += 1
        added = events.MemberAdded(
            originator_id=project,
            originator_version=version,
            timestamp=datetime.now(UTC),
            subject=f"member {version}",
            role=values.MemberRole.DEVELOPER,
        )
        asked = command.Command(
            id=uuid.uuid4(), fingerprint="add", actor="ada", correlation_id=uuid.uuid4()
        )
        await event_log.append(command=asked, events=[added])
    return version


async def _watch(dsn: str, until: float) -> tuple[int, float]:
    most, longest = 0, 0.0
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        while time.monotonic() < until:
            [(behind, late)] = await (await connection.execute(_BEHIND)).fetchall()
            most, longest = max(most, behind), max(longest, late)
            await asyncio.sleep(0.05)
    return most, longest


@contextlib.asynccontextmanager
async def _event_log(dsn: str) -> AsyncIterator[tuple[log.EventLog, connections.Connections]]:
    async with (
        psycopg_pool.AsyncConnectionPool(dsn, min_size=2, max_size=4, open=False) as pool,
        log.EventLog(pool=pool, projections=[], journals=[], policies=lambda _: []) as event_log,
    ):
        yield event_log, connections.Connections(pool=pool, seconds=30.0)


def main() -> None:
    """Run a server for it."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o711)
        with embedded.running(data=Path(place) / "postgres") as address:
            asyncio.run(measure(address.dsn(embedded.LEDGER_DATABASE), seconds=seconds))


if __name__ == "__main__":
    main()
