"""Use cases of deployments, from start to end (section 3 of the rules)."""

from collections.abc import Mapping
from uuid import UUID

from app import catalogue, personal_texts
from app.application import choices, endings
from app.application.admission import Admission, Place
from app.application.permissions import Action
from app.application.request import Request
from app.application.terms import Terms
from app.application.unit_of_work import UnitOfWork, commit, replay
from app.eventlog import log
from domain import (
    deployment,
    deployment_plan,
    environment,
    errors,
    service_facts,
    service_instance,
    states,
    values,
)
from domain.errors import RefusalCode
from domain.values import DeploymentStatus

_MESSAGE_LIMIT = 2_000


class Deployments:
    """Deployments, from start to end."""

    def __init__(
        self,
        *,
        event_log: log.EventLog,
        admission: Admission,
        catalogue: catalogue.Catalogue,
        providers: Mapping[str, object],
        texts: personal_texts.PersonalTexts,
        terms: Terms,
    ) -> None:
        self._log = event_log
        self._texts = texts
        self._admission = admission
        self._catalogue = catalogue
        self._providers = providers
        self._terms = terms

    async def deploy(
        self, *, request: Request, environment_id: UUID, expected_plan: str | None
    ) -> tuple[UUID, int]:
        """Start a deployment of what is pending (R29 to R32); return its id and position.

        Raises DEPLOYMENT_IN_PROGRESS, PLAN_STALE or PLAN_BLOCKED.
        """
        await self._admission.admit_to(
            Place.ENVIRONMENT, environment_id, request=request, action=Action.DEPLOY
        )
        deployment_id = request.new_id("deployment")

        async def decide(work: UnitOfWork) -> None:
            opened = await work.environment(environment_id)
            number = opened.start_deployment(deployment_id=deployment_id, at=work.now)
            instances = await work.services(opened.holdings)
            facts = {key: found.facts for key, found in instances.items()}
            plan = self._plan(opened, facts, position=work.position)
            await self._require_approval(opened, plan, expected_plan)
            started = self._start(work, opened, plan, facts, deployment_id, number, request.actor)
            self._join(work, started, instances, request)

        position = await commit(event_log=self._log, request=request, decide=decide)
        return deployment_id, position

    async def cancel(self, *, request: Request, deployment_id: UUID) -> int:
        """Cancel a deployment before its switch-over (R38)."""
        await self._admission.admit_to(
            Place.DEPLOYMENT, deployment_id, request=request, action=Action.CANCEL_DEPLOYMENT
        )

        async def decide(work: UnitOfWork) -> None:
            found = await work.deployment(deployment_id)
            if found.status is not DeploymentStatus.CANCELLED:
                found.cancel(at=work.now)
                await endings.let_go(work, found, reason=f"cancelled by {request.actor}")

        return await commit(event_log=self._log, request=request, decide=decide)

    async def report(
        self, *, request: Request, deployment_id: UUID, succeeded: bool, message: str
    ) -> int:
        """Take in what somebody outside reports of a deployment that waits for it."""
        await self._admission.admit_to(
            Place.DEPLOYMENT, deployment_id, request=request, action=Action.REPORT_DEPLOYMENT
        )
        told = ""
        if message:
            told = values.text(message, path="message", limit=_MESSAGE_LIMIT)
            told = await self._texts.seal(told, subject=request.actor, place=deployment_id)
        wanted = DeploymentStatus.SUCCEEDED if succeeded else DeploymentStatus.FAILED

        async def decide(work: UnitOfWork) -> None:
            found = await work.deployment(deployment_id)
            if found.status is wanted and found.started.deployer == deployment.EXTERNAL_DEPLOYER:
                return
            found.check_report()
            if succeeded:
                await endings.switch(work, found, output=told)
            else:
                why = told or "reported as failed"
                await endings.fail(work, found, code="RELEASE_FAILED", message=why)

        return await commit(event_log=self._log, request=request, decide=decide)

    def _plan(
        self,
        opened: environment.Environment,
        facts: Mapping[UUID, service_facts.ServiceFacts],
        *,
        position: int,
    ) -> deployment_plan.DeploymentPlan:
        return deployment_plan.draw_up(
            environment_id=opened.id,
            instances=facts,
            unavailable_offerings=self._unavailable_offerings(),
            position=position,
        )

    def _unavailable_offerings(self) -> frozenset[str]:
        # Not once for all: a broker may answer late.
        return frozenset(
            offering.name
            for offering in self._catalogue.offerings
            if not choices.is_provided(self._catalogue, self._providers, offering.name)
        )

    async def _require_approval(
        self,
        opened: environment.Environment,
        plan: deployment_plan.DeploymentPlan,
        expected_plan: str | None,
    ) -> None:
        if expected_plan is not None and not plan.is_approved_by(expected_plan):
            approved = await self._approved(opened.id, expected_plan)
            raise errors.PlanRefusedError(
                code=RefusalCode.PLAN_STALE,
                message=f"Cannot deploy {opened.name}: the plan changed since it was read. "
                "Look at the current plan, and deploy that.",
                plan=plan,
                added=[each.line for each in plan.actions if each not in approved],
                removed=[each.line for each in approved if each not in plan.actions],
            )
        if plan.blockers:
            raise errors.PlanRefusedError(
                code=RefusalCode.PLAN_BLOCKED,
                message=f"Cannot deploy {opened.name}: "
                + " ".join(blocker.message for blocker in plan.blockers),
                plan=plan,
            )

    async def _approved(
        self, environment_id: UUID, digest: str
    ) -> tuple[deployment_plan.PlannedAction, ...]:
        """Return the actions of the plan that a digest was given for; none if it is not known."""
        position = deployment_plan.position_of(digest)
        if position is None:
            return ()
        then = await self._log.load(environment_id, until=position)
        if environment_id not in then.events:
            return ()
        opened = replay(then.events[environment_id])
        if not isinstance(opened, environment.Environment):
            return ()
        history = await self._log.load(*opened.holdings, until=position)
        facts = {
            key: found.facts
            for key, recorded in history.events.items()
            if isinstance(found := replay(recorded), service_instance.ServiceInstance)
        }
        plan = self._plan(opened, facts, position=position)
        # One of another environment, or of an older release, says nothing of this one.
        return plan.actions if plan.is_approved_by(digest) else ()

    def _start(
        self,
        work: UnitOfWork,
        opened: environment.Environment,
        plan: deployment_plan.DeploymentPlan,
        facts: Mapping[UUID, service_facts.ServiceFacts],
        deployment_id: UUID,
        number: int,
        requested_by: str,
    ) -> deployment.Deployment:
        started = deployment.Deployment.start(
            deployment_id=deployment_id,
            project_id=opened.project_id,
            environment_id=opened.id,
            environment_name=opened.name,
            number=number,
            items=deployment_plan.snapshot(facts),
            plan=plan.as_json(),
            deployer=opened.deployer,
            deployer_settings=opened.deployer_settings,
            deployer_secret_id=opened.deployer_secret_id,
            deadline=work.now + self._terms.deployment_timeout,
            requested_by=requested_by,
            at=work.now,
        )
        work.add(started)
        return started

    def _join(
        self,
        work: UnitOfWork,
        started: deployment.Deployment,
        instances: Mapping[UUID, service_instance.ServiceInstance],
        request: Request,
    ) -> None:
        """Hold the instances that will change, and have the missing ones provisioned."""
        for item in started.started.items:
            if item.role is None:
                continue
            instance = instances[item.service_instance_id]
            instance.join_deployment(deployment_id=started.id, role=item.role, at=work.now)
            if instance.facts.resource is states.Resource.ABSENT:
                instance.request_provisioning(
                    operation_id=request.new_id(f"operation {instance.id}"),
                    deadline=work.now + self._terms.operation_timeout,
                    at=work.now,
                )
