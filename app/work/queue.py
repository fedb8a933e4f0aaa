"""The tasks as the queue knows them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import procrastinate
import psycopg
import psycopg_pool
from procrastinate import jobs, retry

from app.eventlog.task import QUEUE
from app.work import run
from app.work.cause import Cause
from app.work.clock import Clock
from app.work.deployment_tasks import DeploymentTasks
from app.work.later import AgainLater
from app.work.service_tasks import ServiceTasks
from app.work.troubles import Troubles

_PAUSE_IN_THE_DARK = 5.0  # seconds, when it cannot be noted that a task broke

_logger = logging.getLogger(__name__)


class _BrokenError(Exception):
    """A task broke, which was noted."""

    def __init__(self, *, pause: float) -> None:
        super().__init__(f"again in {pause:.1f} seconds")
        self.pause = pause


class _AgainAndAgain(retry.BaseRetryStrategy):
    """Try a task that broke again, for ever, with a growing pause: work is never dropped.

    What a provider reports as failed is no broken task; this is for what nobody foresaw. A task
    that was interrupted, because its worker stops, is given back at once and did not fail.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def get_retry_decision(
        self,
        *,
        exception: BaseException,
        job: jobs.Job,  # noqa: ARG002  the queue counts starts; failures are counted in troubles
    ) -> retry.RetryDecision | None:
        match exception:
            case AgainLater() | _BrokenError():
                pause = exception.pause
            case asyncio.CancelledError() | procrastinate.exceptions.JobAborted():
                pause = 0.0
            case _:
                pause = _PAUSE_IN_THE_DARK
        return retry.RetryDecision(retry_at=self._clock.now() + timedelta(seconds=pause))


def create(
    *,
    connector: procrastinate.PsycopgConnector,
    pool: "psycopg_pool.AsyncConnectionPool[Any]",
    clock: Clock,
    service_tasks: ServiceTasks,
    deployment_tasks: DeploymentTasks,
) -> procrastinate.App:
    """Return the queue with its tasks; names are as `policies` gives them."""
    queue = procrastinate.App(connector=connector)
    troubles = Troubles(pool=pool)
    tasks: list[Callable[..., Awaitable[None]]] = [
        service_tasks.perform_operation,
        service_tasks.expire_operation,
        service_tasks.start_scheduled_removal,
        service_tasks.retry_removal,
        service_tasks.continue_deployment,
        service_tasks.revoke_unused,
        service_tasks.renew_credentials,
        service_tasks.forget_credentials,
        service_tasks.forget_unrecorded,
        service_tasks.clean_up,
        deployment_tasks.advance_deployment,
        deployment_tasks.release,
        deployment_tasks.roll_back,
        deployment_tasks.expire_deployment,
        deployment_tasks.forget_deployer_secrets,
    ]
    for task in tasks:
        name = getattr(task, "__name__", "")
        queue.task(name=name, queue=QUEUE, retry=_AgainAndAgain(clock), pass_context=True)(
            _from_strings(task, name, troubles)
        )
    return queue


def _from_strings(
    task: Callable[..., Awaitable[None]], name: str, troubles: Troubles
) -> Callable[..., Awaitable[None]]:
    """Let a task be called with what the queue stores, which is text."""

    async def call(
        context: procrastinate.JobContext,
        *,
        correlation_id: str,
        causation_id: str,
        traceparent: str | None = None,
        attempt: str | None = None,
        **ids: str,
    ) -> None:
        why = Cause(
            event_id=UUID(causation_id),
            correlation_id=UUID(correlation_id),
            traceparent=traceparent,
        )
        given: dict[str, Any] = {name: UUID(value) for name, value in ids.items()}
        if attempt is not None:
            given["attempt"] = int(attempt)
        job_id = context.job.id or 0
        run.begins(job_id=job_id, starts=context.job.attempts)
        try:
            await task(why=why, **given)
        except AgainLater:
            raise
        except Exception as error:
            raise await _broken(troubles, job_id, name, error) from error
        if context.job.attempts:
            await troubles.forget(job_id)

    return call


async def _broken(troubles: Troubles, job_id: int, name: str, error: Exception) -> _BrokenError:
    _logger.warning("task %s broke", name, exc_info=error)
    try:
        return _BrokenError(pause=await troubles.note(job_id, error))
    except psycopg.Error:
        _logger.warning("that task %s broke could not be noted", name)
        return _BrokenError(pause=_PAUSE_IN_THE_DARK)
