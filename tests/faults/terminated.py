"""Every session of the log is ended by an administrator, again and again, under writers.

Followers in the writers' process and in another one go on meanwhile.
"""

import asyncio
import time

import psycopg
from psycopg import sql

from app.eventlog import log
from tests.faults import ground

_RECOVERY = 1.0  # seconds
_OTHERS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class Follower:
    """Takes every event in order, and notes how long after the writer it came."""

    def __init__(self) -> None:
        self.came_at: list[float] = []
        self.out_of_order = 0

    async def follow(self, event_log: log.EventLog) -> None:
        """Follow from the start; position n belongs at place n - 1."""
        async for recorded in event_log.follow(after=0):
            self.out_of_order += recorded.position != len(self.came_at) + 1
            self.came_at.append(time.monotonic())

    def worst_delay(self, account: ground.Account) -> float:
        """Return the longest time between the answer and the arrival."""
        return max(self.came_at[at - 1] - told for at, told in account.told_at.items())


async def run(
    dsn: str, *, seconds: float, every: float, writers: int, followers: int
) -> dict[str, object]:
    """End all sessions so often for that long, and count what came of it."""
    account, ended, is_over = ground.Account(), 0, False
    following = [Follower() for _ in range(followers)]

    async def write(writer: ground.Writer) -> None:
        while not is_over:
            await writer.write()

    async with ground.event_log(dsn) as event_log, ground.event_log(dsn) as elsewhere:
        tasks = [
            asyncio.create_task(each.follow((event_log, elsewhere)[place % 2]))
            for place, each in enumerate(following)
        ]
        writing = asyncio.gather(
            *(write(ground.Writer(event_log=event_log, account=account)) for _ in range(writers))
        )
        ended = await _end_sessions(dsn, seconds=seconds, every=every)
        is_over = True
        # What was written until now; with sessions ended so often, events may have waited.
        recovery = await _arrived(following, count=len(account.acknowledged))
        await writing
        await _arrived(following, count=len(account.acknowledged))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    figures = await ground.in_the_log(dsn, account)
    delays = [each.worst_delay(account) for each in following]
    return figures | {
        "sessions_ended": ended,
        "worst_latency_seconds": round(account.slowest, 2),
        "recovery_of_followers_seconds": round(recovery, 2),
        "worst_delay_of_followers_seconds": [round(delay, 2) for delay in delays],
        "out_of_order": sum(each.out_of_order for each in following),
        "passed": ground.is_whole(figures)
        and not any(each.out_of_order for each in following)
        and recovery <= _RECOVERY,
    }


async def _end_sessions(dsn: str, *, seconds: float, every: float) -> int:
    ended, until = 0, time.monotonic() + seconds
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        while time.monotonic() < until:
            pause = asyncio.create_task(asyncio.sleep(every))
            [(count,)] = await (await connection.execute(sql.SQL(_OTHERS))).fetchall()
            ended += count
            await pause
    return ended


async def _arrived(following: list[Follower], *, count: int) -> float:
    """Wait until everybody has so many events; return the seconds it took."""
    started = time.monotonic()
    async with asyncio.timeout(30):
        while any(len(each.came_at) < count for each in following):  # noqa: ASYNC110  many
            await asyncio.sleep(0.01)
    return time.monotonic() - started


def main() -> None:
    """Run it at full size."""
    with ground.prepared() as place:
        ground.report(asyncio.run(run(place.dsn, seconds=30, every=0.05, writers=16, followers=4)))


if __name__ == "__main__":
    main()
