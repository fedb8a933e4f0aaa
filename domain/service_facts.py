"""What is known of a service instance, and what follows from it."""

import dataclasses
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from domain import states, values


@dataclasses.dataclass(frozen=True)
class Operation:
    """Work of a provider, under way or failed."""

    id: UUID
    kind: values.OperationKind
    status: values.OperationStatus
    attempt: int
    started_at: datetime
    deadline: datetime
    error_code: str | None = None
    error_message: str | None = None
    next_attempt_at: datetime | None = None

    @property
    def is_in_progress(self) -> bool:
        """Is the provider still at it?"""
        return self.status is values.OperationStatus.IN_PROGRESS


@dataclasses.dataclass(frozen=True)
class ServiceFacts:
    """Everything that is known of a service instance."""

    project_id: UUID
    environment_id: UUID
    environment_name: str
    offering: str
    kind: values.ServiceKind
    plan: str
    region: str
    parameters: dict[str, Any]
    prefix: str
    variable_names: tuple[str, ...]
    protected: bool
    resource: states.Resource = states.Resource.ABSENT
    applied: bool = False
    wanted: bool = True
    was_ready: bool = False
    was_requested: bool = False
    operation: Operation | None = None
    requested_plan: str | None = None
    requested_parameters: dict[str, Any] | None = None
    next_plan: str | None = None
    next_parameters: dict[str, Any] | None = None
    secret_version: int = 0
    secret_versions: tuple[int, ...] = ()
    applied_secret_version: int | None = None
    owes_renewal: bool = False
    """Do others have credentials of it that they should have no longer (R36)?"""
    renewal_attempts: int = 0
    applied_prefix: str | None = None
    applied_variable_names: tuple[str, ...] | None = None
    removal_requested: bool = False
    wanted_before_removal: bool = False
    removal_scheduled_for: datetime | None = None
    removal_attempts: int = 0
    deployment_id: UUID | None = None
    deployment_role: values.DeploymentRole | None = None
    abandoned: bool = False

    def having(self, **changes: Any) -> Self:  # noqa: ANN401  each field has its own type
        """Return the facts with some of them changed.

        What dataclasses.replace does, at a tenth of its time: a rebuild folds the whole log.
        """
        changed = object.__new__(type(self))
        object.__setattr__(changed, "__dict__", {**self.__dict__, **changes})
        return changed

    @property
    def state(self) -> states.ServiceInstanceState:
        """The public state."""
        return states.public_state(
            resource=self.resource,
            is_applied=self.applied,
            is_wanted=self.wanted,
            was_ready=self.was_ready,
        )

    @property
    def is_functional(self) -> bool:
        """Is the resource there, and not under removal (R13)?"""
        return self.resource is states.Resource.READY and not self.is_under_removal

    @property
    def is_usable(self) -> bool:
        """Does the running application have the variables?"""
        return self.is_functional and self.applied

    @property
    def is_parked(self) -> bool:
        """Is it new and skipped by deployments?"""
        is_new = self.state is states.ServiceInstanceState.NEW
        return is_new and not self.wanted and not self.is_under_removal

    @property
    def is_under_removal(self) -> bool:
        """Was its removal accepted?"""
        return self.removal_requested or self.resource is states.Resource.DELETING

    @property
    def label(self) -> str:
        """How people name it, and the text that confirms its removal."""
        return values.label(
            environment_name=self.environment_name, prefix=self.prefix, kind=self.kind
        )

    @property
    def situation(self) -> states.Situation:
        """Where it stands when a command comes in."""
        if self.resource is states.Resource.DELETING:
            is_running = self.operation is not None and self.operation.is_in_progress
            return states.Situation.REMOVING if is_running else states.Situation.REMOVAL_FAILED
        if self.removal_requested:
            return states.Situation.REMOVAL_PENDING
        if self.resource is states.Resource.ABSENT:
            return (
                states.Situation.NEW_FAILED if self.was_requested else states.Situation.NEW_UNSENT
            )
        return states.Situation[self.state.value]

    @property
    def unused_secret_versions(self) -> tuple[int, ...]:
        """The versions that nobody needs any more, to be revoked.

        While applied, everything from the application's version on is needed: a running
        deployment may be handing over any of them. Otherwise only the newest is, and a
        deployment that is about to attach the instance keeps all.
        """
        if self.deployment_id is not None:
            return ()
        floor = self.applied_secret_version if self.applied else self.secret_version
        return tuple(version for version in self.secret_versions if version < (floor or 0))
