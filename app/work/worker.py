"""Run tasks, and take over those of workers that died."""

import asyncio
import logging
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
    sweeper = asyncio.create_task(_sweep(queue, pool, clock))
    try:
        while True:
            with cancellation.heeded():
                await _work(queue, concurrency)
            await asyncio.sleep(_PAUSE)
    finally:
        await cancellation.end(sweeper)


async def _work(queue: procrastinate.App, concurrency: int) -> None:
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
        _logger.warning("the worker lost its place in the queue; it begins anew", exc_info=True)
    except Exception:
        _logger.exception("the worker broke; it begins anew")


async def _sweep(
    queue: procrastinate.App, pool: "psycopg_pool.AsyncConnectionPool[Any]", clock: Clock
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
        except (procrastinate.exceptions.ConnectorException, psycopg.Error):
            _logger.warning("cannot look for tasks left behind; again later", exc_info=True)
        except Exception:
            _logger.exception("looking for tasks left behind broke; again later")
        await asyncio.sleep(_SWEEP)


async def _give_to_the_living(queue: procrastinate.App, clock: Clock) -> None:
    for job in await queue.job_manager.get_stalled_jobs(
        queue=QUEUE, seconds_since_heartbeat=_STALLED_AFTER
    ):
        _logger.warning("task %s was left behind; it runs again", job.task_name)
        await queue.job_manager.retry_job(job, retry_at=clock.now())
