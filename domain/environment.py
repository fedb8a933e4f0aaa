"""An environment: who holds which prefix, and what runs."""

import dataclasses
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain import errors, events, values
from domain.errors import RefusalCode

DEFAULT_DEPLOYER = "env_file"


@dataclasses.dataclass(frozen=True)
class Holding:
    """What a live service instance holds in its environment."""

    kind: values.ServiceKind
    prefix: str
    variable_names: tuple[str, ...]


class Environment(Aggregate):
    """The commands of an environment."""

    TOPIC: ClassVar[str] = "Environment"
    fold_version: ClassVar[int] = 1  # raised when `apply` or what it assigns changes
    Event = events.Event
    Created = events.EnvironmentCreated

    def __init__(self, *, project_id: UUID, name: str, protected: bool) -> None:
        self.project_id = project_id
        self.name = name
        self.protected = protected
        self.holdings: dict[UUID, Holding] = {}
        self.deployer = DEFAULT_DEPLOYER
        self.deployer_settings: dict[str, Any] = {}
        self.deployer_secret_id: UUID | None = None
        self.deployer_secret_names: tuple[str, ...] = ()
        self.former_secret_ids: tuple[UUID, ...] = ()
        self.deployments = 0
        self.running_deployment_id: UUID | None = None
        self.revision: int | None = None
        self.last_successful_deployment_id: UUID | None = None
        self.is_deleted = False

    @classmethod
    def create(
        cls, *, environment_id: UUID, project_id: UUID, name: str, protected: bool, at: datetime
    ) -> Self:
        """Create an environment without services."""
        return cls._create(
            events.EnvironmentCreated,
            id=environment_id,
            timestamp=at,
            project_id=project_id,
            name=name,
            protected=protected,
        )

    def apply(self, event: events.Event) -> None:
        """Take an event in, new or replayed."""
        match event:
            case events.EnvironmentCreated():
                pass  # the library hands its fields to __init__
            case events.EnvironmentPrefixTaken():
                self.holdings[event.service_instance_id] = Holding(
                    kind=event.kind, prefix=event.prefix, variable_names=event.variable_names
                )
            case events.EnvironmentPrefixFreed():
                del self.holdings[event.service_instance_id]
            case events.EnvironmentDeployerConfigured():
                self.deployer = event.deployer
                self.deployer_settings = event.settings
                self._keep_secrets(event)
            case events.EnvironmentDeploymentStarted():
                self.running_deployment_id = event.deployment_id
                self.deployments = event.number
            case events.EnvironmentDeploymentEnded():
                self.running_deployment_id = None
                if event.revision is not None:
                    self.revision = event.revision
                    self.last_successful_deployment_id = event.deployment_id
            case events.EnvironmentDeleted():
                self.is_deleted = True
            case _:
                raise TypeError(f"{type(event).__name__} is no event of an environment")

    def _keep_secrets(self, event: events.EnvironmentDeployerConfigured) -> None:
        former = self.deployer_secret_id
        if former is not None and former != event.secret_id:
            self.former_secret_ids = (*self.former_secret_ids, former)
        self.deployer_secret_id = event.secret_id
        self.deployer_secret_names = event.secret_names

    def take_prefix(
        self,
        *,
        service_instance_id: UUID,
        kind: values.ServiceKind,
        prefix: str,
        variable_names: tuple[str, ...],
        at: datetime,
    ) -> None:
        """Give a service instance a prefix and variable names of its own (R8, R9).

        Raises PREFIX_TAKEN or VARIABLE_NAME_TAKEN, naming the holder.
        """
        if self.holdings.get(service_instance_id) == Holding(kind, prefix, variable_names):
            return
        self._require_free(service_instance_id, kind, prefix, variable_names)
        self.trigger_event(
            events.EnvironmentPrefixTaken,
            timestamp=at,
            service_instance_id=service_instance_id,
            kind=kind,
            prefix=prefix,
            variable_names=variable_names,
        )

    def free_prefix(self, *, service_instance_id: UUID, at: datetime) -> None:
        """Take the prefix back from a removed service instance (R11)."""
        if service_instance_id in self.holdings:
            self.trigger_event(
                events.EnvironmentPrefixFreed,
                timestamp=at,
                service_instance_id=service_instance_id,
            )

    def configure_deployer(
        self,
        *,
        deployer: str,
        settings: dict[str, Any],
        secret_id: UUID | None,
        secret_names: tuple[str, ...],
        at: datetime,
    ) -> None:
        """Have deployments carried out by another deployer, from the next one on.

        `secret_id` says where the deployer's secrets are sealed.
        """
        before = (self.deployer, self.deployer_settings, self.deployer_secret_id)
        if (deployer, settings, secret_id) != before:
            self.trigger_event(
                events.EnvironmentDeployerConfigured,
                timestamp=at,
                deployer=deployer,
                settings=settings,
                secret_id=secret_id,
                secret_names=secret_names,
            )

    def start_deployment(self, *, deployment_id: UUID, at: datetime) -> int:
        """Let a deployment hold the environment, and return its number (R31)."""
        self._require_no_deployment("deploy")
        number = self.deployments + 1
        self.trigger_event(
            events.EnvironmentDeploymentStarted,
            timestamp=at,
            deployment_id=deployment_id,
            number=number,
        )
        return number

    def end_deployment(
        self,
        *,
        deployment_id: UUID,
        status: values.DeploymentStatus,
        revision: int | None,
        variables: tuple[values.Variable, ...] | None,
        at: datetime,
    ) -> None:
        """Let the deployment go; `revision` and `variables` are given when it succeeded."""
        if self.running_deployment_id == deployment_id:
            self.trigger_event(
                events.EnvironmentDeploymentEnded,
                timestamp=at,
                deployment_id=deployment_id,
                status=status,
                revision=revision,
                variables=variables,
            )

    def delete(self, *, at: datetime) -> None:
        """Delete the environment, if no live service and no deployment is left in it."""
        self._require_no_deployment("delete")
        if self.holdings:
            held = ", ".join(
                sorted(
                    values.label(
                        environment_name=self.name, prefix=holding.prefix, kind=holding.kind
                    )
                    for holding in self.holdings.values()
                )
            )
            raise errors.StateRefusedError(
                code=RefusalCode.ENVIRONMENT_NOT_EMPTY,
                message=f"Cannot delete {self.name}: it still has {held}. Remove them first.",
            )
        self.trigger_event(events.EnvironmentDeleted, timestamp=at)

    def _require_no_deployment(self, what: str) -> None:
        if self.running_deployment_id is not None:
            raise errors.DeploymentRefusedError(
                code=RefusalCode.DEPLOYMENT_IN_PROGRESS,
                message=f"Cannot {what} {self.name}: deployment {self.deployments} is running. "
                "Wait for its end, or cancel it.",
                deployment_id=self.running_deployment_id,
            )

    def _require_free(
        self,
        service_instance_id: UUID,
        kind: values.ServiceKind,
        prefix: str,
        variable_names: tuple[str, ...],
    ) -> None:
        for holder_id, holding in self.holdings.items():
            if holder_id == service_instance_id:
                continue
            label = values.label(
                environment_name=self.name, prefix=holding.prefix, kind=holding.kind
            )
            if (holding.kind, holding.prefix) == (kind, prefix):
                raise errors.TakenRefusedError(
                    code=RefusalCode.PREFIX_TAKEN,
                    message=f"The prefix {prefix} is taken: {label} holds it. Choose another "
                    "prefix, or rename that one.",
                    holder_id=holder_id,
                    holder_type="ServiceInstance",
                )
            shared = sorted(set(variable_names) & set(holding.variable_names))
            if shared:
                raise errors.TakenRefusedError(
                    code=RefusalCode.VARIABLE_NAME_TAKEN,
                    message=f"The prefix {prefix} would give the variable {shared[0]}, which "
                    f"{label} has. Choose another prefix.",
                    holder_id=holder_id,
                    holder_type="ServiceInstance",
                )
