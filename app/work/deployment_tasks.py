"""What is asked of deployers, and what they answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol
from uuid import UUID

import psycopg

from app import application, deployers
from app.eventlog import command
from app.work.cause import Cause

_LOOK = 0.5  # seconds between two looks whether a release is still wanted


class _Wanted(Protocol):
    """Tells what a deployer shall put into effect; None if there is nothing to do."""

    async def __call__(self, *, deployment_id: UUID) -> application.Handover | None: ...


class DeploymentTasks:
    """The tasks of deployments; each may run again at any time."""

    def __init__(
        self, *, use_cases: application.Application, conninfo: str, data_directory: Path
    ) -> None:
        self._rollout = use_cases.rollout
        self._conninfo = conninfo
        self._data_directory = data_directory

    async def advance_deployment(self, *, why: Cause, deployment_id: UUID) -> None:
        """Go on if the services are ready."""
        await self._rollout.advance(
            request=why.request("advance_deployment"), deployment_id=deployment_id
        )

    async def release(self, *, why: Cause, deployment_id: UUID) -> None:
        """Have the revision put into effect, and report how that ended."""
        async with self._alone(deployment_id):
            outcome = await self._carry_out_while_wanted(self._rollout.handover, deployment_id)
            if outcome is not None:
                await self._report(why, deployment_id, outcome)

    async def roll_back(self, *, why: Cause, deployment_id: UUID) -> None:  # noqa: ARG002  all tasks are called alike
        """Put the running revision back after a deployment that was given up in between."""
        async with self._alone(deployment_id):
            await self._carry_out_while_wanted(self._rollout.rollback, deployment_id)

    async def expire_deployment(self, *, why: Cause, deployment_id: UUID) -> None:
        """End a deployment at its deadline, as its deployer says it ended (R38)."""
        handover = await self._rollout.handover(deployment_id=deployment_id)
        outcome = await self._observe(handover) if handover else None
        if outcome is not None:
            await self._report(why, deployment_id, outcome)
        await self._rollout.expire(
            request=why.request("expire_deployment"), deployment_id=deployment_id
        )

    async def _report(self, why: Cause, deployment_id: UUID, outcome: deployers.Outcome) -> None:
        match outcome.status:
            case deployers.OutcomeStatus.SUCCEEDED:
                await self._rollout.released(
                    request=why.request("release_succeeded"), deployment_id=deployment_id
                )
            case deployers.OutcomeStatus.FAILED:
                await self._rollout.failed(
                    request=why.request("release_failed"),
                    deployment_id=deployment_id,
                    code="RELEASE_FAILED",
                    message=outcome.message,
                )
            case deployers.OutcomeStatus.PENDING:
                return  # somebody else will report

    async def _carry_out_while_wanted(
        self, wanted: _Wanted, deployment_id: UUID
    ) -> deployers.Outcome | None:
        """Carry out what is wanted; None if nothing is, or no longer.

        A command of a cancelled deployment must not go on, nor keep the next one waiting.
        """
        handover = await wanted(deployment_id=deployment_id)
        if handover is None:
            return None
        release = asyncio.create_task(self._carry_out(handover))
        try:
            while not (await asyncio.wait({release}, timeout=_LOOK))[0]:
                with contextlib.suppress(command.LogUnavailableError):  # until it can be told
                    if await wanted(deployment_id=deployment_id) is None:
                        return None
            return release.result()
        finally:
            release.cancel()
            await asyncio.wait({release})

    async def _carry_out(self, handover: application.Handover) -> deployers.Outcome:
        try:
            return await self._deployer(handover).release(_release(handover))
        except deployers.DeployerSettingsError as error:
            return deployers.Outcome(
                status=deployers.OutcomeStatus.FAILED,
                message=f"the settings of the deployer no longer fit: {error}",
            )

    async def _observe(self, handover: application.Handover) -> deployers.Outcome | None:
        try:
            return await self._deployer(handover).observe(_release(handover))
        except deployers.DeployerSettingsError:
            return None  # nobody can be asked any more

    def _deployer(self, handover: application.Handover) -> deployers.Deployer:
        return deployers.create(
            kind=handover.deployer,
            settings=handover.deployer_settings,
            data_directory=self._data_directory,
        )

    @contextlib.asynccontextmanager
    async def _alone(self, deployment_id: UUID) -> AsyncIterator[None]:
        """Keep two workers from releasing to one environment at once.

        The lock belongs to a connection of its own: it ends with the worker, however that ends.
        """
        environment_id = await self._rollout.environment_of(deployment_id=deployment_id)
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        try:
            await connection.execute(
                "SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"release {environment_id}"]
            )
            yield
        finally:
            await asyncio.shield(connection.close())


def _release(handover: application.Handover) -> deployers.Release:
    return deployers.Release(
        deployment_id=handover.deployment_id,
        environment_id=handover.environment_id,
        environment_name=handover.environment_name,
        revision_number=handover.revision,
        is_rollback=handover.is_rollback,
        variables=handover.variables,
    )
