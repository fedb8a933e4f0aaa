"""Facts about an environment: prefixes, deployments, its end."""

from typing import Any
from uuid import UUID

from domain import values
from domain.events.recorded import Created, Event


class EnvironmentCreated(Created):
    """An environment began; in a protected one, removal of services is guarded."""

    TOPIC = "EnvironmentCreated"
    project_id: UUID
    name: str
    protected: bool


class EnvironmentPrefixTaken(Event):
    """A service instance holds a prefix and variable names, in place of those it held."""

    TOPIC = "EnvironmentPrefixTaken"
    service_instance_id: UUID
    kind: values.ServiceKind
    prefix: str
    variable_names: tuple[str, ...]


class EnvironmentPrefixFreed(Event):
    """A removed service instance holds no prefix any more."""

    TOPIC = "EnvironmentPrefixFreed"
    service_instance_id: UUID


class EnvironmentDeployerConfigured(Event):
    """Deployments are carried out by another deployer, or with other settings."""

    TOPIC = "EnvironmentDeployerConfigured"
    deployer: str
    settings: dict[str, Any]
    secret_id: UUID | None = None
    secret_names: tuple[str, ...] = ()


class EnvironmentDeploymentStarted(Event):
    """A deployment holds the environment."""

    TOPIC = "EnvironmentDeploymentStarted"
    deployment_id: UUID
    number: int


class EnvironmentDeploymentEnded(Event):
    """The deployment let go; `revision` is the one that runs now."""

    TOPIC = "EnvironmentDeploymentEnded"
    deployment_id: UUID
    status: values.DeploymentStatus
    revision: int | None
    variables: tuple[values.Variable, ...] | None


class EnvironmentDeleted(Event):
    """The environment, empty, was deleted; its history stays."""

    TOPIC = "EnvironmentDeleted"
