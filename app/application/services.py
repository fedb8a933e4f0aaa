"""Use cases of service instances: what people ask of them."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from app import catalogue, personal_texts, secrets
from app.application import choices, placement, sealed_parameters
from app.application.admission import Admission, Place
from app.application.permissions import Action
from app.application.request import Request
from app.application.terms import Terms
from app.application.unit_of_work import UnitOfWork, commit, require_version
from app.eventlog import log
from domain import errors, events, service_instance, service_refusals, states, values
from domain.errors import RefusalCode

_REASON_LIMIT = 2_000


class Services:
    """What people ask of service instances."""

    def __init__(
        self,
        *,
        event_log: log.EventLog,
        admission: Admission,
        catalogue: catalogue.Catalogue,
        providers: Mapping[str, object],
        vault: secrets.Vault,
        texts: personal_texts.PersonalTexts,
        terms: Terms,
    ) -> None:
        self._log = event_log
        self._admission = admission
        self._catalogue = catalogue
        self._providers = providers
        self._vault = vault
        self._texts = texts
        self._parameters = sealed_parameters.SealedParameters(vault=vault)
        self._terms = terms

    async def add(
        self,
        *,
        request: Request,
        environment_id: UUID,
        offering: str,
        plan: str | None,
        prefix: str | None,
        parameters: dict[str, Any],
    ) -> tuple[UUID, int]:
        """Add a service to an environment (R2, R3, R8, R9, R16); return its id and position."""
        await self._admission.admit_to(
            Place.ENVIRONMENT, environment_id, request=request, action=Action.ADD_SERVICE
        )
        service_instance_id = request.new_id("service")

        async def decide(work: UnitOfWork) -> None:
            choice = choices.choose(
                self._catalogue, offering=offering, plan=plan, parameters=parameters
            )
            if choice.offering.is_retired:
                raise errors.InputRefusedError(
                    code=RefusalCode.OFFERING_RETIRED,
                    message=f"{offering} is no longer offered. Existing instances stay.",
                    path="offering",
                )
            opened = await work.environment(environment_id)
            owner = await work.project(opened.project_id)
            placement.add_to(
                work,
                owner,
                opened,
                service_instance_id=service_instance_id,
                choice=await self._sealed(work, request, choice, service_instance_id),
                prefix=values.DEFAULT_PREFIX if prefix is None else values.prefix(prefix),
            )

        position = await commit(event_log=self._log, request=request, decide=decide)
        return service_instance_id, position

    async def provision(
        self, *, request: Request, service_instance_id: UUID, expected_version: int | None = None
    ) -> int:
        """Have the resource made, without a deployment (R18)."""
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.PROVISION_SERVICE
        )

        def command(found: service_instance.ServiceInstance, at: datetime) -> None:
            if found.facts.situation in {states.Situation.NEW_UNSENT, states.Situation.NEW_FAILED}:
                self._require_provider(found)
            found.request_provisioning(
                operation_id=request.new_id("operation"), deadline=self._deadline(at), at=at
            )

        return await self._change(request, service_instance_id, expected_version, command)

    async def attach(
        self, *, request: Request, service_instance_id: UUID, expected_version: int | None = None
    ) -> int:
        """Want the service in the next revision (R19)."""
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.ATTACH_SERVICE
        )

        def command(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.request_attachment(at=at)

        return await self._change(request, service_instance_id, expected_version, command)

    async def detach(
        self, *, request: Request, service_instance_id: UUID, expected_version: int | None = None
    ) -> int:
        """Want the service out of the next revision (R20 to R22)."""
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.DETACH_SERVICE
        )

        def command(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.request_detachment(at=at)

        return await self._change(request, service_instance_id, expected_version, command)

    async def configure(
        self,
        *,
        request: Request,
        service_instance_id: UUID,
        plan: str | None,
        parameters: dict[str, Any] | None,
        expected_version: int | None = None,
    ) -> int:
        """Want another plan or other parameters; None leaves either as it is."""
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.CONFIGURE_SERVICE
        )

        async def decide(work: UnitOfWork) -> None:
            found = await work.service(service_instance_id)
            require_version(found, expected_version)
            facts = found.facts
            known = facts.parameters if facts.next_parameters is None else facts.next_parameters
            choice = choices.choose(
                self._catalogue,
                offering=facts.offering,
                plan=(facts.next_plan or facts.plan) if plan is None else plan,
                parameters=parameters
                if parameters is not None
                else await self._parameters.open(
                    service_instance_id=service_instance_id, parameters=known
                ),
            )
            choice = await self._sealed(work, request, choice, service_instance_id, known=known)
            found.configure(
                plan=choice.plan,
                parameters=choice.parameters,
                operation_id=request.new_id("operation"),
                deadline=self._deadline(work.now),
                at=work.now,
            )

        return await commit(event_log=self._log, request=request, decide=decide)

    async def rename_prefix(
        self,
        *,
        request: Request,
        service_instance_id: UUID,
        prefix: str,
        expected_version: int | None = None,
    ) -> int:
        """Use another prefix from the next deployment on (R8 to R10)."""
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.RENAME_PREFIX
        )

        async def decide(work: UnitOfWork) -> None:
            found = await work.service(service_instance_id)
            require_version(found, expected_version)
            wanted = values.prefix(prefix)
            names = self._catalogue.variable_names(kind=found.facts.kind, prefix=wanted)
            found.rename_prefix(prefix=wanted, variable_names=names, at=work.now)
            (await work.environment(found.facts.environment_id)).take_prefix(
                service_instance_id=service_instance_id,
                kind=found.facts.kind,
                prefix=found.facts.prefix,
                variable_names=found.facts.variable_names,
                at=work.now,
            )

        return await commit(event_log=self._log, request=request, decide=decide)

    async def rotate_credentials(
        self, *, request: Request, service_instance_id: UUID, expected_version: int | None = None
    ) -> int:
        """Ask for new credentials; the application gets them with the next deployment."""
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.ROTATE_CREDENTIALS
        )

        def command(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.rotate_credentials(
                operation_id=request.new_id("operation"), deadline=self._deadline(at), at=at
            )

        return await self._change(request, service_instance_id, expected_version, command)

    async def change_protection(
        self,
        *,
        request: Request,
        service_instance_id: UUID,
        protected: bool,
        expected_version: int | None = None,
    ) -> int:
        """Guard the service against removal, or no longer."""
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.CHANGE_PROTECTION
        )

        def command(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.change_protection(protected=protected, at=at)

        return await self._change(request, service_instance_id, expected_version, command)

    async def remove(
        self,
        *,
        request: Request,
        service_instance_id: UUID,
        confirmation: str | None,
        expected_version: int | None = None,
    ) -> int:
        """Remove the service for good (R23 to R27)."""
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.REMOVE_SERVICE
        )

        def command(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.remove(
                confirmation=confirmation,
                operation_id=request.new_id("operation"),
                deadline=self._deadline(at),
                grace=self._terms.removal_grace,
                at=at,
            )

        return await self._change(request, service_instance_id, expected_version, command)

    async def cancel_removal(
        self, *, request: Request, service_instance_id: UUID, expected_version: int | None = None
    ) -> int:
        """Call a removal off before the end of its grace period (R26)."""
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.CANCEL_REMOVAL
        )

        def command(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.cancel_removal(at=at)

        return await self._change(request, service_instance_id, expected_version, command)

    async def abandon_removal(
        self,
        *,
        request: Request,
        service_instance_id: UUID,
        reason: str,
        expected_version: int | None = None,
    ) -> int:
        """Give up a failed removal; the resource goes on the list of orphans (R28)."""
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.ABANDON_REMOVAL
        )
        sealed = await self._sealed_reason(reason, request, service_instance_id)

        def command(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.abandon(reason=sealed, at=at)

        return await self._change(request, service_instance_id, expected_version, command)

    async def reveal_credentials(
        self,
        *,
        request: Request,
        service_instance_id: UUID,
        reason: str,
        expected_version: int | None = None,
    ) -> tuple[dict[str, str], int]:
        """Record who sees the credentials and why, then return the variables (R46).

        What is shown is the version that was recorded: others may come in between, and a
        repeated command shows what it showed first (R44).
        """
        await self._admission.admit_to(
            Place.SERVICE, service_instance_id, request=request, action=Action.REVEAL_CREDENTIALS
        )
        sealed = await self._sealed_reason(reason, request, service_instance_id)

        async def decide(work: UnitOfWork) -> None:
            found = await work.service(service_instance_id)
            require_version(found, expected_version)
            found.reveal_credentials(reason=sealed, at=work.now)

        position = await commit(event_log=self._log, request=request, decide=decide)
        version = await self._revealed_version(service_instance_id, position)
        facts = (await UnitOfWork(event_log=self._log).service(service_instance_id)).facts
        credentials = await self._vault.get(
            service_instance_id=service_instance_id, version=version
        )
        if credentials is None:
            service_refusals.require(facts, states.Command.REVEAL)
            raise errors.StateRefusedError(
                code=RefusalCode.NOT_READY,
                message=f"Cannot reveal version {version} of the credentials of {facts.label}: "
                "it was revoked. Ask again, with a new idempotency key if you give one.",
                state=facts.state,
            )
        value = credentials[self._catalogue.kinds[facts.kind].credential]
        return dict.fromkeys(facts.variable_names, value), position

    async def _revealed_version(self, service_instance_id: UUID, position: int) -> int:
        (recorded,) = await self._log.read(
            after=position - 1, limit=1, originator_id=service_instance_id
        )
        if not isinstance(recorded.event, events.ServiceCredentialsRevealed):
            raise TypeError(f"{recorded.event.TOPIC} at {position} reveals nothing")
        return recorded.event.secret_version

    async def _sealed_reason(self, reason: str, request: Request, service_instance_id: UUID) -> str:
        return await self._texts.seal(
            values.text(reason, path="reason", limit=_REASON_LIMIT),
            subject=request.actor,
            place=service_instance_id,
        )

    async def _sealed(
        self,
        work: UnitOfWork,
        request: Request,
        choice: choices.Choice,
        service_instance_id: UUID,
        *,
        known: Mapping[str, Any] = MappingProxyType({}),
    ) -> choices.Choice:
        """Return the choice with references in place of secret parameters."""
        plan = self._catalogue.plan(choice.offering, choice.plan)
        parameters = await self._parameters.seal(
            request=request,
            at=work.now,
            service_instance_id=service_instance_id,
            schema=plan.parameters if plan else {},
            parameters=choice.parameters,
            known=known,
        )
        return dataclasses.replace(choice, parameters=parameters)

    async def _change(
        self,
        request: Request,
        service_instance_id: UUID,
        expected_version: int | None,
        command: Callable[[service_instance.ServiceInstance, datetime], None],
    ) -> int:
        """Carry out a command on one instance; a removed one frees its prefix and unit."""

        async def decide(work: UnitOfWork) -> None:
            found = await work.service(service_instance_id)
            require_version(found, expected_version)
            was_gone = found.facts.resource is states.Resource.GONE
            command(found, work.now)
            if found.facts.resource is states.Resource.GONE and not was_gone:
                await placement.free(work, found)

        return await commit(event_log=self._log, request=request, decide=decide)

    def _deadline(self, at: datetime) -> datetime:
        return at + self._terms.operation_timeout

    def _require_provider(self, found: service_instance.ServiceInstance) -> None:
        offering = found.facts.offering
        if not choices.is_provided(self._catalogue, self._providers, offering):
            raise errors.StateRefusedError(
                code=RefusalCode.NOT_READY,
                message=f"Cannot provision {found.facts.label}: no provider for {offering} is "
                "configured here.",
                state=found.facts.state,
            )
