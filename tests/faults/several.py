"""Several processes write and follow at once; every follower sees every event, once, in order.

A transaction is left open meanwhile, as a forgotten session does: it holds a number that
vacuum and readers of snapshots wait for, but not this log.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from app.eventlog import log
from tests.faults import ground

_WITHIN = 800  # seconds


def run(
    dsn: str, *, processes: int, writers: int, followers: int, events: int, idle_seconds: float
) -> dict[str, object]:
    """Write so many events from so many processes, each with its share of the followers."""
    share = events // (processes * writers)
    total = share * processes * writers
    shape = [writers, share, followers // processes, total]
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(_process(dsn, *shape)) for _ in range(processes)]
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT pg_current_xact_id(), count(*) FROM ledger.events")
            time.sleep(idle_seconds)
        answers = [_answer(process, within=started + _WITHIN) for process in running]
    took = time.monotonic() - started
    account = ground.Account(
        acknowledged={
            UUID(asked): position
            for answer in answers
            for asked, position in answer["acknowledged"].items()
        },
        conflicts=sum(answer["conflicts"] for answer in answers),
    )
    figures = asyncio.run(ground.in_the_log(dsn, account))
    seen = [each for answer in answers for each in answer["followers"]]
    return figures | {
        "processes": processes,
        "followers": seen,
        "events_per_second": round(total / took),
        "passed": ground.is_whole(figures)
        and len(seen) == followers
        and all(each == {"events": total, "out_of_order": 0} for each in seen),
    }


@contextlib.contextmanager
def _process(dsn: str, *shape: int) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-m", "tests.faults.several", dsn, *map(str, shape)]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _answer(process: subprocess.Popen[str], *, within: float) -> dict[str, Any]:
    text, _ = process.communicate(timeout=within - time.monotonic())
    answer: dict[str, Any] = json.loads(text)
    return answer


async def _take_part(
    dsn: str, writers: int, share: int, followers: int, total: int
) -> dict[str, object]:
    """Write and follow in this process, until every follower has all events."""
    account = ground.Account()

    async def write(writer: ground.Writer) -> None:
        for _ in range(share):
            await writer.write()

    async with ground.event_log(dsn) as event_log:
        following = [asyncio.create_task(_follow(event_log, total)) for _ in range(followers)]
        await asyncio.gather(
            *(write(ground.Writer(event_log=event_log, account=account)) for _ in range(writers))
        )
        seen = await asyncio.gather(*following)
    return {
        "acknowledged": {asked.hex: place for asked, place in account.acknowledged.items()},
        "conflicts": account.conflicts,
        "followers": seen,
    }


async def _follow(event_log: log.EventLog, total: int) -> dict[str, int]:
    count = out_of_order = 0
    async with contextlib.aclosing(event_log.follow(after=0)) as following:
        async for recorded in following:
            count += 1
            out_of_order += recorded.position != count
            if recorded.position >= total:
                break
    return {"events": count, "out_of_order": out_of_order}


def main() -> None:
    """Run it at full size, or be one of its processes."""
    if sys.argv[1:]:
        dsn, *shape = sys.argv[1:]
        print(json.dumps(asyncio.run(_take_part(dsn, *map(int, shape)))))  # noqa: T201  an answer
        return
    with ground.prepared() as place:
        ground.report(
            run(place.dsn, processes=4, writers=16, followers=8, events=200_000, idle_seconds=30)
        )


if __name__ == "__main__":
    main()
