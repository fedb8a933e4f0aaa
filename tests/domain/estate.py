"""A project with one environment: service instances and deployments that play together.

It does with the aggregates what a use case does in one transaction, and nothing else.
"""

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from domain import deployment, deployment_plan, environment, events, project, states, values
from domain.service_instance import ServiceInstance
from tests.domain import histories
from tests.domain.histories import NOW


class Estate:
    """One environment, `test`, of one project."""

    def __init__(self, *, units: int = 10) -> None:
        self.now = NOW
        self.project = project.Project.create(project_id=uuid4(), name="shop", at=NOW)
        self.project.subscribe(units={"postgres": units, "s3": units}, at=NOW)
        self.environment = environment.Environment.create(
            environment_id=uuid4(),
            project_id=self.project.id,
            name="test",
            protected=False,
            at=NOW,
        )
        self.instances: dict[UUID, ServiceInstance] = {}
        self.deployments: list[deployment.Deployment] = []

    @property
    def live(self) -> dict[UUID, ServiceInstance]:
        return {
            key: instance
            for key, instance in self.instances.items()
            if instance.facts.resource is not states.Resource.GONE
        }

    def add(
        self,
        prefix: str = "DEFAULT",
        *,
        kind: values.ServiceKind = values.ServiceKind.DATABASE,
        **differences: Any,  # noqa: ANN401  fields of any type
    ) -> ServiceInstance:
        offering = "postgres" if kind is values.ServiceKind.DATABASE else "s3"
        instance = histories.added(
            prefix=prefix,
            kind=kind,
            offering=offering,
            project_id=self.project.id,
            environment_id=self.environment.id,
            at=self.now,
            **differences,
        )
        self.project.take_unit(offering=offering, service_instance_id=instance.id, at=self.now)
        self._take_prefix(instance.id, kind, prefix)
        self.instances[instance.id] = instance
        return instance

    def add_attached(self, prefix: str = "DEFAULT") -> ServiceInstance:
        instance = self.add(prefix)
        self.deploy()
        return instance

    def rename(self, instance: ServiceInstance, prefix: str) -> None:
        """Give the instance another prefix, in the environment too, or neither."""
        histories.rename(instance, prefix)
        self._take_prefix(instance.id, instance.facts.kind, prefix)

    def settle_removed(self, instance: ServiceInstance) -> None:
        """Return what a removed instance held, as the transaction of its end does."""
        if instance.facts.resource is states.Resource.GONE:
            self.project.return_unit(service_instance_id=instance.id, at=self.now)
            self.environment.free_prefix(service_instance_id=instance.id, at=self.now)

    def plan(
        self, *, position: int = 7, unavailable: frozenset[str] = frozenset()
    ) -> deployment_plan.DeploymentPlan:
        return deployment_plan.draw_up(
            environment_id=self.environment.id,
            instances=self.facts(),
            unavailable_offerings=unavailable,
            position=position,
        )

    def facts(self) -> Mapping[UUID, Any]:
        return {key: instance.facts for key, instance in self.instances.items()}

    def start_deployment(self) -> deployment.Deployment:
        """Start a deployment: environment, deployment and every instance with a role."""
        deployment_id = uuid4()
        number = self.environment.start_deployment(deployment_id=deployment_id, at=self.now)
        started = deployment.Deployment.start(
            deployment_id=deployment_id,
            project_id=self.project.id,
            environment_id=self.environment.id,
            environment_name="test",
            number=number,
            items=deployment_plan.snapshot(self.facts()),
            plan=self.plan().as_json(),
            deployer="env_file",
            deployer_settings={},
            deadline=self.now + timedelta(hours=1),
            requested_by="somebody",
            at=self.now,
        )
        for item in started.started.items:
            if item.role is not None:
                instance = self.instances[item.service_instance_id]
                instance.join_deployment(deployment_id=started.id, role=item.role, at=self.now)
                if instance.facts.resource is states.Resource.ABSENT:
                    histories.provision(instance, at=self.now)
        self.deployments.append(started)
        return started

    def succeed(self, started: deployment.Deployment) -> None:
        """Build the revision and switch over, all in effect at once."""
        items = [self._with_version(item) for item in started.started.items]
        variables = tuple(
            values.Variable(
                name=name,
                service_instance_id=item.service_instance_id,
                secret_version=item.secret_version or 0,
            )
            for item in items
            if item.role is not values.DeploymentRole.DETACH
            for name in item.variable_names
        )
        started.configure(
            revision=(self.environment.revision or 0) + 1, variables=variables, at=self.now
        )
        started.hand_over(at=self.now)
        started.succeed(at=self.now)
        self._end(started, variables=variables)
        for item in items:
            self.instances[item.service_instance_id].take_effect(
                deployment_id=started.id,
                revision=started.revision or 0,
                item=item,
                at=self.now,
            )

    def fail(self, started: deployment.Deployment) -> None:
        started.fail(code="RELEASE_FAILED", message="The health check failed.", at=self.now)
        self._let_go(started)

    def cancel(self, started: deployment.Deployment) -> None:
        started.cancel(at=self.now)
        self._let_go(started)

    def deploy(self) -> deployment.Deployment:
        """Deploy with success, every provider included."""
        started = self.start_deployment()
        for instance in self.instances.values():
            if instance.facts.resource is states.Resource.CREATING:
                histories.report_provisioned(instance, at=self.now)
        self.succeed(started)
        return started

    def running_variables(self) -> dict[str, tuple[UUID, int | None]]:
        return {
            name: (key, instance.facts.applied_secret_version)
            for key, instance in self.instances.items()
            for name in instance.facts.applied_variable_names or ()
        }

    def advance(self, duration: timedelta) -> datetime:
        self.now += duration
        return self.now

    def _with_version(self, item: events.SnapshotItem) -> events.SnapshotItem:
        """An instance that was provisioned meanwhile has a version now."""
        facts = self.instances[item.service_instance_id].facts
        version = item.secret_version or facts.secret_version
        return dataclasses.replace(item, secret_version=version)

    def _take_prefix(self, instance_id: UUID, kind: values.ServiceKind, prefix: str) -> None:
        self.environment.take_prefix(
            service_instance_id=instance_id,
            kind=kind,
            prefix=prefix,
            variable_names=histories.names_for(prefix, kind),
            at=self.now,
        )

    def _let_go(self, ended: deployment.Deployment) -> None:
        self._end(ended, variables=None)
        for item in ended.started.items:
            self.instances[item.service_instance_id].leave_deployment(
                deployment_id=ended.id,
                status=ended.status,
                reason="The health check failed.",
                is_exposed=ended.is_exposed,
                at=self.now,
            )

    def _end(
        self, ended: deployment.Deployment, *, variables: tuple[values.Variable, ...] | None
    ) -> None:
        self.environment.end_deployment(
            deployment_id=ended.id,
            status=ended.status,
            revision=ended.revision if variables is not None else None,
            variables=variables,
            at=self.now,
        )
