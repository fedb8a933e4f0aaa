"""How fast the read models are made anew.

    python -m tests.benchmarks.rebuild [PERCENT] [PROCESSES]

The log has the sizes to hold, or a part of them; its rows are compared with those that were there.
"""

import asyncio
import os
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg_pool

import projections
from app import bootstrap
from app.eventlog import rebuild
from tests.benchmarks import data, report, server

_HEADINGS = ("", "seconds", "events/s", "us an event")
_MODELS: dict[str, Any] = {
    "projections": projections.PROJECTIONS,
    "journals": projections.JOURNALS,
}


def main(percent: float = 100, processes: int = os.cpu_count() or 1) -> None:
    """Load, measure and print."""
    with server.running() as address:
        dsn = server.create_database(address, name="rebuilt")
        begun = time.perf_counter()
        sizes = data.Sizes.percent(percent)
        events = asyncio.run(data.load(conninfo=dsn, sizes=sizes)).events
        loaded = time.perf_counter() - begun
        print(report.versions(dsn, "psycopg"), report.machine(), sep="\n")
        print(f"{events:,} events, loaded in {loaded:.0f} s; {processes} processes.\n")
        took, held = asyncio.run(_measure(dsn, processes=processes))
    print(report.table(_HEADINGS, [_row(what, seconds, events) for what, seconds in took.items()]))
    print(f"\nThe largest of the processes that folded held {held:,.0f} MB.")


async def _measure(dsn: str, *, processes: int) -> tuple[dict[str, float], float]:
    folded: list[float] = []
    held: list[float] = []

    def progress(_position: int, _head: int) -> None:
        folded.append(time.perf_counter())
        held.extend(_folders_megabytes())

    await bootstrap.prepare(conninfo=dsn, progress=lambda _: None)
    async with psycopg_pool.AsyncConnectionPool(dsn, open=False, min_size=1) as pool:
        used, begun = _processor_seconds(), time.perf_counter()
        differences = await rebuild.rebuild(
            pool=pool,
            at_pace=rebuild.Pace(processes=processes),
            progress=progress,
            **_MODELS,
        )
        ended = time.perf_counter()
    if differences:
        sys.exit(f"the rows differ: {differences}")
    took = {
        "folded": folded[-1] - begun,
        "with indexes, comparison and swap": ended - begun,
        "processor time, PostgreSQL's aside": _processor_seconds() - used,
    }
    return took, max(held, default=0)


def _row(what: str, seconds: float, events: int) -> tuple[object, ...]:
    return what, seconds, events / seconds, seconds / events * 1e6


def _processor_seconds() -> float:
    """Return the processor time of this process and of those that folded for it."""
    own, folders = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return sum(it.ru_utime + it.ru_stime for it in (own, folders))


def _folders_megabytes() -> Iterator[float]:
    """Yield the most that each of the processes held that fold for this one.

    Their resource usage counts what their parent held too.
    """
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text(encoding="utf-8").split():
            if b"app.eventlog.folding" in Path(f"/proc/{pid}/cmdline").read_bytes():
                status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
                [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status)
                yield int(kilobytes) / 1024


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
