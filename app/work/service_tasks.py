"""What is asked of providers, and what they answer."""

import functools
import logging
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from app import application, catalogue, secrets
from app.application import sealed_parameters
from app.application.unit_of_work import UnitOfWork
from app.eventlog import log
from app.providers import contract
from app.work import later, pauses
from app.work.cause import Cause
from domain import errors, events, service_facts, states, values

_FIRST_PAUSE = 2.0  # seconds
_LONGEST_PAUSE = 60.0
_PARAMETERS_GIVEN = (events.ServiceAdded, events.ServiceConfigured, events.ServiceUpdateStarted)
_logger = logging.getLogger(__name__)


class ServiceTasks:
    """The tasks of service instances; each may run again at any time."""

    def __init__(
        self,
        *,
        event_log: log.EventLog,
        use_cases: application.Application,
        catalogue: catalogue.Catalogue,
        providers: Mapping[str, contract.Provider],
        vault: secrets.Vault,
    ) -> None:
        self._log = event_log
        self._application = use_cases
        self._catalogue = catalogue
        self._providers = providers
        self._vault = vault
        self._parameters = sealed_parameters.SealedParameters(vault=vault)

    async def perform_operation(
        self, *, why: Cause, service_instance_id: UUID, operation_id: UUID, attempt: int
    ) -> None:
        """Ask the provider for what the operation is for, unless it is over already."""
        facts = await self._facts(service_instance_id)
        operation = facts.operation
        is_current = operation and operation.is_in_progress and operation.attempt == attempt
        if operation is None or not is_current or operation.id != operation_id:
            return
        try:
            await self._ask(facts, operation, service_instance_id)
        except contract.ProviderError as error:
            await self._report_failure(why, service_instance_id, operation, error)
        else:
            await self._report_success(why, service_instance_id, operation, facts)

    async def expire_operation(
        self, *, why: Cause, service_instance_id: UUID, operation_id: UUID
    ) -> None:
        """Fail the operation if its deadline found it under way."""
        operation = (await self._facts(service_instance_id)).operation
        if operation is None or not operation.is_in_progress or operation.id != operation_id:
            return
        later.not_before(operation.deadline)
        await self._application.results.expire_operation(
            request=why.request("expire_operation"),
            service_instance_id=service_instance_id,
            operation_id=operation_id,
        )

    async def start_scheduled_removal(self, *, why: Cause, service_instance_id: UUID) -> None:
        """Start a removal at the end of its grace period."""
        moment = (await self._facts(service_instance_id)).removal_scheduled_for
        if moment is None:
            return
        later.not_before(moment)
        await self._application.results.start_scheduled_removal(
            request=why.request("start_scheduled_removal"),
            service_instance_id=service_instance_id,
        )

    async def retry_removal(self, *, why: Cause, service_instance_id: UUID) -> None:
        """Try a failed removal again."""
        await self._application.results.retry_removal(
            request=why.request("retry_removal"), service_instance_id=service_instance_id
        )

    async def continue_deployment(self, *, why: Cause, service_instance_id: UUID) -> None:
        """Let the deployment that waits for the instance go on."""
        facts = await self._facts(service_instance_id)
        if facts.deployment_id is not None:
            await self._application.rollout.advance(
                request=why.request("advance_deployment"), deployment_id=facts.deployment_id
            )

    async def revoke_unused(self, *, why: Cause, service_instance_id: UUID) -> None:
        """Revoke the credentials that nobody needs any more (R36)."""
        facts = await self._facts(service_instance_id)
        if facts.resource is not states.Resource.READY:
            return
        for version in facts.unused_secret_versions:
            await self._provider(facts).ensure_revoked(
                service_instance_id=service_instance_id, version=version
            )
            await self._vault.destroy(service_instance_id=service_instance_id, version=version)
            await self._application.results.revoked(
                request=why.request("revoke_unused"),
                service_instance_id=service_instance_id,
                secret_version=version,
            )

    async def renew_credentials(self, *, why: Cause, service_instance_id: UUID) -> None:
        """Replace credentials that an application has, and should have no longer (R36).

        One that fails is tried again, by the rule of the aggregate; one that meets a removal
        once that is called off.
        """
        facts = await self._facts(service_instance_id)
        if not facts.is_functional or not facts.owes_renewal:
            return
        try:
            await self._application.services.rotate_credentials(
                request=why.request("renew_credentials", key=str(why.event_id)),
                service_instance_id=service_instance_id,
            )
        except errors.StateRefusedError as refusal:
            if refusal.code is errors.RefusalCode.NOT_READY:
                raise  # another operation is under way: again later
            _logger.info("credentials are not renewed: %s", refusal.message)

    async def forget_credentials(self, *, why: Cause, service_instance_id: UUID) -> None:  # noqa: ARG002  all tasks are called alike
        """Destroy the sealed credentials and parameters of a removed instance."""
        await self._vault.destroy_all(service_instance_id)
        await self._parameters.forget(service_instance_id)

    async def forget_unrecorded(self, *, why: Cause, service_instance_id: UUID) -> None:  # noqa: ARG002  all tasks are called alike
        """Destroy the sealed parameters of commands that were refused, or came to no end."""
        stored_at = await self._parameters.stored_at(service_instance_id)
        recorded = await self._recorded_versions(service_instance_id)
        for version, moment in stored_at.items():
            if version not in recorded:
                later.not_before(moment + sealed_parameters.UNRECORDED_STAYS)
                await self._parameters.forget_version(service_instance_id, version)

    async def clean_up(self, *, why: Cause, service_instance_id: UUID) -> None:  # noqa: ARG002  all tasks are called alike
        """Delete a resource that appeared after its instance was removed (R41)."""
        facts = await self._facts(service_instance_id)
        if not facts.was_requested:
            return
        await self._provider(facts).ensure_absent(service_instance_id)
        await self._vault.destroy_all(service_instance_id)

    async def _report_success(
        self,
        why: Cause,
        service_instance_id: UUID,
        operation: service_facts.Operation,
        facts: service_facts.ServiceFacts,
    ) -> None:
        results = self._application.results
        done = {"service_instance_id": service_instance_id, "operation_id": operation.id}
        # No key: who was given up and reports too tells something new, that it was at work still.
        request = why.request("operation_succeeded")
        match operation.kind:
            case values.OperationKind.PROVISION:
                await results.provisioned(request=request, **done)
            case values.OperationKind.UPDATE:
                await results.updated(request=request, **done)
            case values.OperationKind.ROTATE:
                await results.rotated(
                    request=request, **done, secret_version=facts.secret_version + 1
                )
            case values.OperationKind.REMOVE:
                await results.gone(request=request, **done)

    async def _report_failure(
        self,
        why: Cause,
        service_instance_id: UUID,
        operation: service_facts.Operation,
        error: contract.ProviderError,
    ) -> None:
        """Report for good, or try again later; a removal is tried again by its own rule."""
        is_final = not error.is_transient or operation.kind is values.OperationKind.REMOVE
        if is_final:
            await self._application.results.failed(
                request=why.request("operation_failed"),
                service_instance_id=service_instance_id,
                operation_id=operation.id,
                attempt=operation.attempt,
                code=error.code,
                message=error.message,
            )
        else:
            await self._application.results.delayed(
                request=why.request(
                    "operation_delayed", key=f"{operation.id} delayed {operation.attempt}"
                ),
                service_instance_id=service_instance_id,
                operation_id=operation.id,
                attempt=operation.attempt,
                code=error.code,
                message=error.message,
                pause=_pause(operation.attempt, at_least=error.retry_after or 0.0),
            )

    async def _recorded_versions(self, service_instance_id: UUID) -> set[int]:
        """Return the versions of sealed parameters that any event of the instance names."""
        history = await self._log.load(service_instance_id)
        return {
            version
            for event in history.events.get(service_instance_id, ())
            if isinstance(event, _PARAMETERS_GIVEN)
            for version in sealed_parameters.versions(event.parameters)
        }

    async def _facts(self, service_instance_id: UUID) -> service_facts.ServiceFacts:
        work = UnitOfWork(event_log=self._log)
        return (await work.service(service_instance_id)).facts

    def _provider(self, facts: service_facts.ServiceFacts) -> contract.Provider:
        offering = self._catalogue.offering(facts.offering)
        provider = self._providers.get(offering.provider) if offering else None
        if provider is None:
            # It was there when this was asked for: another worker may have it, and a broker that
            # was silent at the start will answer.
            raise contract.ProviderError(
                code=contract.ProviderErrorCode.UNAVAILABLE,
                message=f"No provider for {facts.offering} is configured here.",
                is_transient=True,
            )
        return provider

    async def _ask(
        self,
        facts: service_facts.ServiceFacts,
        operation: service_facts.Operation,
        service_instance_id: UUID,
    ) -> None:
        provider = self._provider(facts)
        match operation.kind:
            case values.OperationKind.PROVISION:
                await provider.ensure_present(await self._request(facts, service_instance_id))
                await self._issue(provider, service_instance_id, version=1)
            case values.OperationKind.UPDATE:
                await provider.ensure_configured(await self._request(facts, service_instance_id))
            case values.OperationKind.ROTATE:
                await self._issue(provider, service_instance_id, version=facts.secret_version + 1)
            case values.OperationKind.REMOVE:
                await provider.ensure_absent(service_instance_id)

    async def _issue(
        self, provider: contract.Provider, service_instance_id: UUID, *, version: int
    ) -> None:
        """Make credentials: stored before the provider is asked, so that none is ever unknown."""
        secret = await self._vault.ensure(
            service_instance_id=service_instance_id,
            version=version,
            make=functools.partial(
                provider.new_secret, service_instance_id=service_instance_id, version=version
            ),
        )
        credentials = await provider.ensure_credentials(
            service_instance_id=service_instance_id, version=version, secret=secret
        )
        await self._vault.replace(
            service_instance_id=service_instance_id, version=version, credentials=credentials
        )

    async def _request(
        self, facts: service_facts.ServiceFacts, service_instance_id: UUID
    ) -> contract.ResourceRequest:
        offering = self._catalogue.offering(facts.offering)
        name = facts.plan if facts.next_plan is None else facts.next_plan
        parameters = facts.parameters if facts.next_parameters is None else facts.next_parameters
        is_update = facts.resource is states.Resource.READY
        plan = (
            self._catalogue.plan(offering, name if is_update else facts.plan) if offering else None
        )
        if plan is None:
            raise contract.ProviderError(
                code=contract.ProviderErrorCode.PARAMETERS_INVALID,
                message=f"The plan {name} of {facts.offering} is no longer in the catalogue.",
                is_transient=False,
            )
        return contract.ResourceRequest(
            service_instance_id=service_instance_id,
            plan=plan.settings,
            parameters=await self._parameters.open(
                service_instance_id=service_instance_id,
                parameters=parameters if is_update else facts.parameters,
            ),
        )


def _pause(attempt: int, *, at_least: float) -> timedelta:
    """Return how long to wait after a failed attempt: growing, and spread by a quarter."""
    seconds = pauses.growing(tries=attempt, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
    return timedelta(seconds=max(seconds, at_least))
