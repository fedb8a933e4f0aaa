"""What is asked of deployers, and what they answer."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

import psycopg

from app import application, cancellation, deployers, exchange
from app.application import rollout
from app.eventlog import command
from app.work import later, pauses
from app.work.cause import Cause
from app.work.later import AgainLater
from domain import errors

_FIRST_PAUSE = 2.0  # seconds
_LONGEST_PAUSE = 60.0
_ROLLBACK_PAUSE = 10.0
_ROLLBACK_TAKES = timedelta(hours=1)  # a receiver that took it in may fetch for so long
_LOOK = 0.5  # seconds between two looks whether a release is still wanted
_TO_END = 10.0  # seconds for a release to end its command and to take back what it did

_logger = logging.getLogger(__name__)

_ENDED = frozenset({deployers.OutcomeStatus.SUCCEEDED, deployers.OutcomeStatus.FAILED})


class _Wanted(Protocol):
    """Tells what a deployer shall put into effect; None if there is nothing to do."""

    async def __call__(self, *, deployment_id: UUID) -> application.Handover | None: ...


class DeploymentTasks:
    """The tasks of deployments; each may run again at any time."""

    def __init__(
        self,
        *,
        use_cases: application.Application,
        conninfo: str,
        surroundings: deployers.Surroundings,
        exchange: exchange.VaultExchange,
    ) -> None:
        self._rollout = use_cases.rollout
        self._conninfo = conninfo
        self._surroundings = surroundings
        self._exchange = exchange

    async def advance_deployment(self, *, why: Cause, deployment_id: UUID) -> None:
        """Go on if the services are ready."""
        await self._rollout.advance(
            request=why.request("advance_deployment"), deployment_id=deployment_id
        )

    async def release(self, *, why: Cause, deployment_id: UUID, attempt: int = 1) -> None:
        """Have the revision put into effect, and report how that ended."""

        async def wanted(*, deployment_id: UUID) -> application.Handover | None:
            handover = await self._rollout.handover(deployment_id=deployment_id)
            return handover if handover and handover.attempt == attempt else None

        async with self._alone(deployment_id) as lock:
            outcome = await self._carry_out_while_wanted(wanted, deployment_id, lock)
            if outcome is not None:
                await self._report(why, deployment_id, outcome, attempt=attempt)

    async def roll_back(self, *, why: Cause, deployment_id: UUID) -> None:  # noqa: ARG002  all tasks are called alike
        """Put the running revision back after a deployment that was given up in between.

        Nobody tells when a receiver is done with it: what was agreed is forgotten a while after it
        was taken in.
        """
        release_id = rollout.rollback_id(deployment_id)
        accepted_at = await self._exchange.accepted_at(release_id)
        if accepted_at is None:
            await self._put_back(deployment_id, release_id)
        else:
            later.not_before(accepted_at + _ROLLBACK_TAKES)
        await self._exchange.forget(release_id)

    async def expire_deployment(self, *, why: Cause, deployment_id: UUID) -> None:
        """End a deployment at its deadline, as its deployer says it ended (R38)."""
        deadline = await self._rollout.deadline(deployment_id=deployment_id)
        if deadline is not None:
            later.not_before(deadline)
        try:
            outcome = await self._observe(deployment_id)
            if outcome is not None and outcome.status in _ENDED:
                await self._report(why, deployment_id, outcome, attempt=1)
        except command.LogUnavailableError:
            raise  # later, so that what the deployer says is not lost
        except Exception:  # whatever is wrong with what the deployer says: the deadline holds
            _logger.exception("a deployer cannot be asked, or believed")
        await self._rollout.expire(
            request=why.request("expire_deployment"), deployment_id=deployment_id
        )
        await self._exchange.forget(deployment_id)

    async def forget_deployer_secrets(self, *, why: Cause, environment_id: UUID) -> None:  # noqa: ARG002  all tasks are called alike
        """Destroy the secrets of deployers that are used no more."""
        try:
            await self._rollout.forget_deployer_secrets(environment_id=environment_id)
        except errors.DeploymentRefusedError as refusal:
            raise AgainLater(pause=_LONGEST_PAUSE) from refusal

    async def _put_back(self, deployment_id: UUID, release_id: UUID) -> None:
        try:
            async with self._alone(deployment_id) as lock:
                outcome = await self._carry_out_while_wanted(
                    self._rollout.rollback, deployment_id, lock
                )
        except errors.DeploymentRefusedError as refusal:
            raise AgainLater(pause=_ROLLBACK_PAUSE) from refusal
        if outcome is not None and outcome.status is deployers.OutcomeStatus.DELAYED:
            raise AgainLater(pause=outcome.again_in or _ROLLBACK_PAUSE)
        if await self._exchange.accepted_at(release_id) is not None:
            raise AgainLater(pause=_ROLLBACK_TAKES.total_seconds())

    async def _report(
        self, why: Cause, deployment_id: UUID, outcome: deployers.Outcome, *, attempt: int
    ) -> None:
        match outcome.status:
            case deployers.OutcomeStatus.SUCCEEDED:
                await self._rollout.released(
                    request=why.request("release_succeeded"),
                    deployment_id=deployment_id,
                    output=outcome.output,
                )
            case deployers.OutcomeStatus.FAILED:
                await self._rollout.failed(
                    request=why.request("release_failed"),
                    deployment_id=deployment_id,
                    code="RELEASE_FAILED",
                    message=outcome.message,
                    output=outcome.output,
                )
            case deployers.OutcomeStatus.DELAYED:
                await self._delay(why, deployment_id, outcome, attempt=attempt)
            case deployers.OutcomeStatus.PENDING:
                if outcome.again_in is not None:
                    raise AgainLater(pause=outcome.again_in)
                return  # somebody else will report

    async def _delay(
        self, why: Cause, deployment_id: UUID, outcome: deployers.Outcome, *, attempt: int
    ) -> None:
        pause = pauses.growing(tries=attempt, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        await self._rollout.delayed(
            request=why.request("release_delayed", key=f"{deployment_id} delayed {attempt}"),
            deployment_id=deployment_id,
            attempt=attempt,
            message=outcome.message,
            pause=timedelta(seconds=max(pause, outcome.again_in or 0.0)),
        )

    async def _carry_out_while_wanted(
        self, wanted: _Wanted, deployment_id: UUID, lock: psycopg.AsyncConnection[Any]
    ) -> deployers.Outcome | None:
        """Carry out what is wanted; None if nothing is, or no longer.

        A command of a cancelled deployment must not go on, nor keep the next one waiting. Nor
        must one go on without its lock: it is begun again.
        """
        handover = await wanted(deployment_id=deployment_id)
        if handover is None:
            return None
        release = asyncio.create_task(self._carry_out(handover))
        try:
            while not (await asyncio.wait({release}, timeout=_LOOK))[0]:
                _require_held(lock)
                with contextlib.suppress(command.LogUnavailableError):  # until it can be told
                    if await wanted(deployment_id=deployment_id) is None:
                        return None
            return release.result()
        finally:
            await cancellation.end(release, grace=_TO_END)

    async def _carry_out(self, handover: application.Handover) -> deployers.Outcome:
        try:
            return await self._deployer(handover).release(_release(handover))
        except deployers.DeployerSettingsError as error:
            return deployers.Outcome(
                status=deployers.OutcomeStatus.FAILED,
                message=f"the settings of the deployer no longer fit: {error}",
            )

    async def _observe(self, deployment_id: UUID) -> deployers.Outcome | None:
        handover = await self._rollout.handover(deployment_id=deployment_id)
        if handover is None:
            return None
        try:
            return await self._deployer(handover).observe(_release(handover))
        except deployers.DeployerSettingsError:
            return None  # nobody can be asked any more

    def _deployer(self, handover: application.Handover) -> deployers.Deployer:
        return deployers.create(
            kind=handover.deployer,
            settings=handover.deployer_settings,
            surroundings=self._surroundings,
            secrets=handover.deployer_secrets,
        )

    @contextlib.asynccontextmanager
    async def _alone(self, deployment_id: UUID) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Keep two workers from releasing to one environment at once.

        The lock belongs to a connection of its own, which is yielded: it ends with the worker,
        however that ends, and with the session, if the database ends that.
        """
        environment_id = await self._rollout.environment_of(deployment_id=deployment_id)
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        try:
            await connection.execute(
                "SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"release {environment_id}"]
            )
            yield connection
        finally:
            await asyncio.shield(connection.close())


def _require_held(lock: psycopg.AsyncConnection[Any]) -> None:
    """Raise AgainLater if the session has ended: another worker may hold its lock by now."""
    try:
        lock.pgconn.consume_input()  # asks nothing, so that a silent server keeps nobody waiting
    except psycopg.OperationalError as error:
        raise AgainLater(pause=_FIRST_PAUSE) from error


def _release(handover: application.Handover) -> deployers.Release:
    return deployers.Release(
        deployment_id=handover.deployment_id,
        environment_id=handover.environment_id,
        environment_name=handover.environment_name,
        epoch=handover.epoch,
        revision_number=handover.revision,
        given_up_id=handover.given_up_id,
        attempt=handover.attempt,
        variables=handover.variables,
    )
