"""Facts about one deployment: its snapshot, its steps, its end."""

import dataclasses
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import values
from domain.events.recorded import Created, Event


@dataclasses.dataclass(frozen=True)
class SnapshotItem:
    """What a deployment does with one service instance, frozen when it started.

    `role` is None for an instance that stays attached; `secret_version` is None while the
    instance is still to be provisioned.
    """

    service_instance_id: UUID
    role: values.DeploymentRole | None
    prefix: str
    variable_names: tuple[str, ...]
    secret_version: int | None
    is_changed: bool


class DeploymentStarted(Created):
    """A deployment began, with the plan it follows."""

    TOPIC = "DeploymentStarted"
    project_id: UUID
    environment_id: UUID
    environment_name: str
    number: int
    items: tuple[SnapshotItem, ...]
    plan: dict[str, Any]
    deployer: str
    deployer_settings: dict[str, Any]
    deadline: datetime
    requested_by: str
    deployer_secret_id: UUID | None = None


class DeploymentStepStarted(Event):
    """The deployment reached a step."""

    TOPIC = "DeploymentStepStarted"
    step: values.DeploymentStep


class DeploymentConfigured(Event):
    """The next revision is built: names and secret versions, no values."""

    TOPIC = "DeploymentConfigured"
    revision: int
    variables: tuple[values.Variable, ...]


class DeploymentReleaseDelayed(Event):
    """The deployer did not take the release in; it gets it again later."""

    TOPIC = "DeploymentReleaseDelayed"
    attempt: int
    message: str
    next_attempt_at: datetime


class DeploymentVariablesFetched(Event):
    """A receiver that holds the deployment's token was given the values of a revision."""

    TOPIC = "DeploymentVariablesFetched"
    revision: int


class DeploymentReleaseReported(Event):
    """What the release wrote, without secrets, or what a person told; how it ended follows."""

    TOPIC = "DeploymentReleaseReported"
    output: str


class DeploymentSucceeded(Event):
    """The new revision runs."""

    TOPIC = "DeploymentSucceeded"
    revision: int


class DeploymentFailed(Event):
    """The previous revision still runs; this is why."""

    TOPIC = "DeploymentFailed"
    step: values.DeploymentStep
    code: str
    message: str


class DeploymentCancelled(Event):
    """Somebody stopped the deployment; the previous revision still runs."""

    TOPIC = "DeploymentCancelled"
    step: values.DeploymentStep
