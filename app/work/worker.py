"""Run tasks, and take over those of workers that died."""

import asyncio
import logging
import time
from typing import Any

import procrastinate
import psycopg
import psycopg_pool

from app import cancellation
from app.eventlog.task import QUEUE
from app.work.clock import Clock

TO_END = 10.0
"""Seconds that a worker gets to end: its tasks end first, or are given back, and their commands."""

_HEARTBEAT = 1.0  # seconds
_STALLED_AFTER = 5.0  # seconds without a heartbeat
_SWEEP = 1.0  # seconds
_POLL = 0.2  # seconds; news of a task comes at once, but is lost while the queue is looked at
_GRACE = 3.0  # seconds that running tasks get to end; after _STALLED_AFTER others take them
_PAUSE = 1.0  # seconds until the next try to work
_REMIND = 60.0  # seconds after which a trouble that lasts is told again

_logger = logging.getLogger(__name__)


# One sweeper at a time: a list that got old would give away what another one gave away already.
_ALONE = """
    SELECT clock_timestamp(), pg_try_advisory_xact_lock(hashtextextended('servicebook sweep', 0))
"""


async def run(
    *,
    queue: procrastinate.App,
    pool: "psycopg_pool.AsyncConnectionPool[Any]",
    clock: Clock,
    concurrency: int,
) -> None:
    """Run tasks until cancelled; running ones then get a moment to end, or are given back."""
    trouble = _Trouble()
    sweeper = asyncio.create_task(_sweep(queue, pool, clock, trouble))
    try:
        while True:
            with cancellation.heeded():
                await _work(queue, concurrency, trouble)
            await asyncio.sleep(_PAUSE)
    finally:
        await cancellation.end(sweeper)


class _Trouble:
    """Tells of a trouble with the queue whole at first, in a line now and then, and when it ends.

    What works and what sweeps share it: a database that is gone stops both, each second anew.
    """

    def __init__(self) -> None:
        self._told_at: float | None = None

    def met(self, message: str) -> None:
        """Tell of the error that is being handled, unless it was told lately."""
        if self._told_at is not None and time.monotonic() < self._told_at + _REMIND:
            return
        _logger.warning(message, exc_info=self._told_at is None)
        self._told_at = time.monotonic()

    def over(self) -> None:
        """Tell that it is over, if there was one."""
        if self._told_at is not None:
            _logger.warning("the queue can be looked at again")
        self._told_at = None


async def _work(queue: procrastinate.App, concurrency: int, trouble: _Trouble) -> None:
    """Run tasks until cancelled, or until the queue's worker gives up.

    It does when the database cannot be reached, and when it was taken for dead: who slept for
    long finds its registration gone, and has to begin anew.
    """
    try:
        await queue.run_worker_async(
            queues=[QUEUE],
            concurrency=concurrency,
            install_signal_handlers=False,
            fetch_job_polling_interval=_POLL,
            update_heartbeat_interval=_HEARTBEAT,
            stalled_worker_timeout=_STALLED_AFTER,
            shutdown_graceful_timeout=_GRACE,
            delete_jobs="successful",
        )
    except procrastinate.exceptions.ConnectorException:
        trouble.met("the worker lost its place in the queue; it begins anew")
    except Exception:
        _logger.exception("the worker broke; it begins anew")


async def _sweep(
    queue: procrastinate.App,
    pool: "psycopg_pool.AsyncConnectionPool[Any]",
    clock: Clock,
    trouble: _Trouble,
) -> None:
    """Give the tasks of dead workers to the living, and read the clock; tasks may run twice."""
    while True:
        try:
            async with pool.connection() as connection, connection.transaction():
                cursor = await connection.execute(_ALONE)
                [(now, is_alone)] = await cursor.fetchall()
                clock.set(now)
                if is_alone:
                    await _give_to_the_living(queue, clock)
            trouble.over()
        except (procrastinate.exceptions.ConnectorException, psycopg.Error):
            trouble.met("cannot look for tasks left behind; again later")
        except Exception:
            _logger.exception("looking for tasks left behind broke; again later")
        await asyncio.sleep(_SWEEP)


async def _give_to_the_living(queue: procrastinate.App, clock: Clock) -> None:
    for job in await queue.job_manager.get_stalled_jobs(
        queue=QUEUE, seconds_since_heartbeat=_STALLED_AFTER
    ):
        _logger.warning("task %s was left behind; it runs again", job.task_name)
        await queue.job_manager.retry_job(job, retry_at=clock.now())
