"""The tasks as the queue knows them."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import procrastinate
from procrastinate import jobs, retry

from app.eventlog.task import QUEUE
from app.work.cause import Cause
from app.work.deployment_tasks import DeploymentTasks
from app.work.service_tasks import ServiceTasks

_FIRST_PAUSE = 1.0  # seconds
_LONGEST_PAUSE = 300.0

_logger = logging.getLogger(__name__)


class _AgainAndAgain(retry.BaseRetryStrategy):
    """Try a task that broke again, for ever, with a growing pause: work is never dropped.

    What a provider reports as failed is no broken task; this is for what nobody foresaw.
    """

    def get_retry_decision(
        self, *, exception: BaseException, job: jobs.Job
    ) -> retry.RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):
            _logger.info("task %s is given back: this worker stops", job.task_name)
        else:
            _logger.warning(
                "task %s broke, attempt %d", job.task_name, job.attempts + 1, exc_info=exception
            )
        seconds = min(_FIRST_PAUSE * 2 ** min(job.attempts, 16), _LONGEST_PAUSE)
        pause = seconds * random.uniform(0.75, 1.25)  # noqa: S311  no secret
        return retry.RetryDecision(retry_in={"seconds": max(round(pause), 1)})


def create(
    *,
    connector: procrastinate.PsycopgConnector,
    service_tasks: ServiceTasks,
    deployment_tasks: DeploymentTasks,
) -> procrastinate.App:
    """Return the queue with its tasks; names are as `policies` gives them."""
    queue = procrastinate.App(connector=connector)
    tasks: list[Callable[..., Awaitable[None]]] = [
        service_tasks.perform_operation,
        service_tasks.expire_operation,
        service_tasks.start_scheduled_removal,
        service_tasks.retry_removal,
        service_tasks.continue_deployment,
        service_tasks.revoke_unused,
        service_tasks.renew_credentials,
        service_tasks.forget_credentials,
        service_tasks.clean_up,
        deployment_tasks.advance_deployment,
        deployment_tasks.release,
        deployment_tasks.roll_back,
        deployment_tasks.expire_deployment,
    ]
    for task in tasks:
        name = getattr(task, "__name__", "")
        queue.task(name=name, queue=QUEUE, retry=_AgainAndAgain())(_from_strings(task))
    return queue


def _from_strings(task: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Let a task be called with what the queue stores, which is text."""

    async def call(
        *, correlation_id: str, causation_id: str, attempt: str | None = None, **ids: str
    ) -> None:
        why = Cause(event_id=UUID(causation_id), correlation_id=UUID(correlation_id))
        given: dict[str, Any] = {name: UUID(value) for name, value in ids.items()}
        if attempt is not None:
            given["attempt"] = int(attempt)
        await task(why=why, **given)

    return call
