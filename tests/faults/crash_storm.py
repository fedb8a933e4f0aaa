"""PostgreSQL is stopped at once, again and again, under writers.

The latency of a command is held against the time for which the server itself took no session:
what is over that is the writer's own.
"""

import asyncio
import contextlib
import os
import signal
import time

import psycopg

from tests.faults import ground

_TICK = 0.01
_WORST = 2.0  # seconds
_OWN = 0.5  # seconds over the server's own, where that alone takes longer


async def run(
    place: ground.Ground, *, restarts: int, seconds: float, writers: int
) -> dict[str, object]:
    """Stop the server so many times in that time, and count what came of it."""
    account = ground.Account()
    outages: list[float] = []
    is_over = asyncio.Event()

    async def write(writer: ground.Writer) -> None:
        while not is_over.is_set():
            await writer.write()

    async def crash() -> None:
        for _ in range(restarts):
            pause = asyncio.create_task(asyncio.sleep(seconds / restarts))
            outages.append(await _crash(place))
            await pause
        is_over.set()

    async with ground.event_log(place.dsn) as event_log:
        tasks = [ground.Writer(event_log=event_log, account=account) for _ in range(writers)]
        await asyncio.gather(crash(), *(write(task) for task in tasks))
    figures = await ground.in_the_log(place.dsn, account)
    worst = max(outages)
    return figures | {
        "restarts": len(outages),
        "server_away_seconds": [round(outage, 2) for outage in outages],
        "worst_latency_seconds": round(account.slowest, 2),
        "passed": ground.is_whole(figures)
        and (account.slowest <= _WORST or account.slowest <= worst + _OWN),
    }


async def _crash(place: ground.Ground) -> float:
    """Stop the server without a goodbye; return how long it took no session."""
    pid = _pid(place)
    started = time.monotonic()
    os.kill(int(pid), signal.SIGQUIT)
    async with asyncio.timeout(60):
        while _pid(place) in (pid, "") or not await _answers(place.dsn):  # noqa: ASYNC110  it lives elsewhere
            await asyncio.sleep(_TICK)
    return time.monotonic() - started


def _pid(place: ground.Ground) -> str:
    """Return the id of the server's process, nothing while there is none."""
    with contextlib.suppress(FileNotFoundError):
        return (place.directory / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0]
    return ""


async def _answers(dsn: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=2):
            return True
    return False


def main() -> None:
    with ground.prepared() as place:
        ground.report(asyncio.run(run(place, restarts=10, seconds=30, writers=16)))


if __name__ == "__main__":
    main()
