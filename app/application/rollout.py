"""Use cases of the worker: carry a deployment from step to step."""

import dataclasses
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app import catalogue, secrets
from app.application import endings
from app.application.request import Request
from app.application.unit_of_work import UnitOfWork, commit, replay
from app.eventlog import log
from domain import deployment, environment, errors, service_instance, states, values
from domain.values import DeploymentRole

ENVIRONMENT_LIMIT = 128 * 1024  # bytes of names and values: what a process can be given


@dataclasses.dataclass(frozen=True)
class Handover:
    """What a deployer needs to put a revision into effect."""

    deployment_id: UUID
    environment_id: UUID
    environment_name: str
    epoch: int
    revision: int
    deployer: str
    deployer_settings: Mapping[str, Any]
    deployer_secrets: Mapping[str, str] = dataclasses.field(repr=False)
    variables: Mapping[str, str] = dataclasses.field(repr=False)
    attempt: int = 1
    given_up_id: UUID | None = None
    """The deployment that was given up, if this puts back what ran before it."""


def rollback_id(deployment_id: UUID) -> UUID:
    """Return the id of the release that puts back what ran before a deployment."""
    return uuid.uuid5(deployment_id, "rollback")


class Rollout:
    """The steps of a deployment after its start."""

    def __init__(
        self, *, event_log: log.EventLog, catalogue: catalogue.Catalogue, vault: secrets.Vault
    ) -> None:
        self._log = event_log
        self._catalogue = catalogue
        self._vault = vault

    async def advance(self, *, request: Request, deployment_id: UUID) -> int:
        """Go on as soon as the services are ready: build the revision, hand it over."""

        async def decide(work: UnitOfWork) -> None:
            found = await work.deployment(deployment_id)
            if found.is_running and found.step is values.DeploymentStep.SERVICES:
                instances = await work.services(
                    item.service_instance_id
                    for item in found.started.items
                    if item.role is not DeploymentRole.DETACH
                )
                if failure := _failure(instances.values()):
                    await endings.fail(work, found, code=failure[0], message=failure[1])
                elif all(instance.facts.is_functional for instance in instances.values()):
                    await self._configure(work, found, instances)

        return await commit(event_log=self._log, request=request, decide=decide)

    async def forget_deployer_secrets(self, *, environment_id: UUID) -> None:
        """Destroy the secrets of former deployers, and of the last one of a deleted environment.

        Raises NOT_READY while a deployment uses them: again later.
        """
        history = await self._log.load(environment_id)
        found = replay(history.events[environment_id])
        if not isinstance(found, environment.Environment):
            raise TypeError(f"{environment_id} is no environment")
        work = UnitOfWork(event_log=self._log)
        if found.running_deployment_id is not None:
            running = await work.deployment(found.running_deployment_id)
            if running.started.deployer_secret_id in found.former_secret_ids:
                raise errors.DeploymentRefusedError(
                    code=errors.RefusalCode.NOT_READY,
                    message=f"Deployment {running.started.number} uses them still.",
                    deployment_id=running.id,
                )
        unused = set(found.former_secret_ids)
        if found.is_deleted and found.deployer_secret_id is not None:
            unused.add(found.deployer_secret_id)
        for secret_id in unused:
            await self._vault.destroy_all(secret_id)

    async def environment_of(self, *, deployment_id: UUID) -> UUID:
        """Return the environment of a deployment."""
        found = await UnitOfWork(event_log=self._log).deployment(deployment_id)
        return found.started.environment_id

    async def handover(self, *, deployment_id: UUID) -> Handover | None:
        """Return what the deployer needs; None if the deployment does not wait for it."""
        work = UnitOfWork(event_log=self._log)
        found = await work.deployment(deployment_id)
        if not found.is_running or found.step is not values.DeploymentStep.RELEASE:
            return None
        return Handover(
            deployment_id=deployment_id,
            environment_id=found.started.environment_id,
            environment_name=found.started.environment_name,
            epoch=work.epoch,
            revision=found.revision or 0,
            deployer=found.started.deployer,
            deployer_settings=found.started.deployer_settings,
            deployer_secrets=await self._secrets(found),
            variables=await self._values(found.variables),
            attempt=found.attempt,
        )

    async def rollback(self, *, deployment_id: UUID) -> Handover | None:
        """Return how to put the running revision back after a deployment that was given up.

        None if the deployer never had it, if a later deployment succeeded, or if the environment is
        deleted. One that did not succeed leaves the deployer with what it had before, which may be
        what was given up.

        Raises NOT_READY while a later one is being released: again later.
        """
        work = UnitOfWork(event_log=self._log)
        ended = await work.deployment(deployment_id)
        if ended.is_running or not ended.is_exposed:
            return None
        try:
            opened = await work.environment(ended.started.environment_id)
        except errors.NotFoundRefusedError:
            return None
        await _require_no_release(work, opened)
        previous: tuple[values.Variable, ...] = ()
        if opened.last_successful_deployment_id is not None:
            succeeded = await work.deployment(opened.last_successful_deployment_id)
            if succeeded.started.number > ended.started.number:
                return None
            previous = succeeded.variables
        return Handover(
            deployment_id=rollback_id(deployment_id),
            environment_id=opened.id,
            environment_name=opened.name,
            epoch=work.epoch,
            revision=opened.revision or 0,
            deployer=ended.started.deployer,
            deployer_settings=ended.started.deployer_settings,
            deployer_secrets=await self._secrets(ended),
            variables=await self._values(previous),
            given_up_id=deployment_id,
        )

    async def delayed(
        self,
        *,
        request: Request,
        deployment_id: UUID,
        attempt: int,
        message: str,
        pause: timedelta,
    ) -> int:
        """Hand the release over again later; nothing if that was decided before."""

        async def decide(work: UnitOfWork) -> None:
            found = await work.deployment(deployment_id)
            is_at_release = found.is_running and found.step is values.DeploymentStep.RELEASE
            if is_at_release and found.attempt == attempt:
                found.delay_release(message=message, next_attempt_at=work.now + pause, at=work.now)

        return await commit(event_log=self._log, request=request, decide=decide)

    async def released(self, *, request: Request, deployment_id: UUID, output: str = "") -> int:
        """Switch over: the deployer put the revision into effect (R35)."""

        async def decide(work: UnitOfWork) -> None:
            found = await work.deployment(deployment_id)
            if found.is_running and found.step is values.DeploymentStep.RELEASE:
                await endings.switch(work, found, output=output)

        return await commit(event_log=self._log, request=request, decide=decide)

    async def failed(
        self,
        *,
        request: Request,
        deployment_id: UUID,
        code: str,
        message: str,
        output: str = "",
    ) -> int:
        """End the deployment: the deployer kept the previous revision (R34)."""

        async def decide(work: UnitOfWork) -> None:
            found = await work.deployment(deployment_id)
            if found.is_running:
                await endings.fail(work, found, code=code, message=message, output=output)

        return await commit(event_log=self._log, request=request, decide=decide)

    async def deadline(self, *, deployment_id: UUID) -> datetime | None:
        """Return when the deployment must have ended; None if it has."""
        found = await UnitOfWork(event_log=self._log).deployment(deployment_id)
        return found.started.deadline if found.is_running else None

    async def expire(self, *, request: Request, deployment_id: UUID) -> int:
        """End a deployment whose deadline has come (R38); nothing if it ended before."""

        async def decide(work: UnitOfWork) -> None:
            found = await work.deployment(deployment_id)
            if found.is_running and work.now >= found.started.deadline:
                await endings.fail(
                    work,
                    found,
                    code=deployment.DEADLINE_EXCEEDED,
                    message=f"It did not get past {found.step} in time.",
                )

        return await commit(event_log=self._log, request=request, decide=decide)

    async def _configure(
        self,
        work: UnitOfWork,
        found: deployment.Deployment,
        instances: Mapping[UUID, service_instance.ServiceInstance],
    ) -> None:
        opened = await work.environment(found.started.environment_id)
        variables = tuple(
            values.Variable(
                name=name,
                service_instance_id=item.service_instance_id,
                secret_version=item.secret_version
                or instances[item.service_instance_id].facts.secret_version,
            )
            for item in found.started.items
            if item.role is not DeploymentRole.DETACH
            for name in item.variable_names
        )
        found.configure(revision=(opened.revision or 0) + 1, variables=variables, at=work.now)
        given = await self._values(variables)
        size = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in given.items())
        if size > ENVIRONMENT_LIMIT:
            await endings.fail(
                work,
                found,
                code="ENVIRONMENT_TOO_LARGE",
                message=f"The variables take {size} bytes; a process gets {ENVIRONMENT_LIMIT}.",
            )
        else:
            found.hand_over(at=work.now)

    async def _secrets(self, found: deployment.Deployment) -> Mapping[str, str]:
        """Return the deployer's secrets; none if they were replaced long ago."""
        if found.started.deployer_secret_id is None:
            return {}
        return (
            await self._vault.get(service_instance_id=found.started.deployer_secret_id, version=1)
            or {}
        )

    async def _values(self, variables: Iterable[values.Variable]) -> dict[str, str]:
        """Return the variables with their secret values, for the deployer only."""
        wanted = tuple(variables)
        instances = await UnitOfWork(event_log=self._log).services(
            {variable.service_instance_id for variable in wanted}
        )
        given: dict[str, str] = {}
        for variable in wanted:
            facts = instances[variable.service_instance_id].facts
            credentials = await self._vault.get(
                service_instance_id=variable.service_instance_id, version=variable.secret_version
            )
            if credentials is None:
                raise LookupError(
                    f"the credentials of {facts.label}, version {variable.secret_version}, are gone"
                )
            given[variable.name] = credentials[self._catalogue.kinds[facts.kind].credential]
        return given


async def _require_no_release(work: UnitOfWork, opened: environment.Environment) -> None:
    """Refuse while a deployment has its turn: what comes late must not undo what it released."""
    if opened.running_deployment_id is None:
        return
    running = await work.deployment(opened.running_deployment_id)
    if running.is_exposed:
        raise errors.DeploymentRefusedError(
            code=errors.RefusalCode.NOT_READY,
            message=f"Deployment {running.started.number} is being released: wait for its end.",
            deployment_id=running.id,
        )


def _failure(
    instances: Iterable[service_instance.ServiceInstance],
) -> tuple[str, str] | None:
    """Return code and message of the first instance that could not be provisioned (R33)."""
    for instance in instances:
        if instance.facts.resource is states.Resource.ABSENT:
            operation = instance.facts.operation
            why = operation.error_message if operation else "it was not provisioned"
            return "PROVISIONING_FAILED", f"{instance.facts.label}: {why}"
    return None
