"""Facts about a service instance, from its addition to its removal."""

from datetime import datetime
from typing import Any, ClassVar, TypeGuard, get_args
from uuid import UUID

from domain import values
from domain.events.recorded import Created, Event


class ServiceAdded(Created):
    """A service was added to an environment; nothing is provisioned yet."""

    TOPIC = "ServiceAdded"
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


class ServiceProvisioningStarted(Event):
    """The provider is asked to make the resource, until the deadline."""

    TOPIC = "ServiceProvisioningStarted"
    operation_id: UUID
    attempt: int
    deadline: datetime


class ServiceProvisioned(Event):
    """The resource is there; late if its operation had been given up."""

    TOPIC = "ServiceProvisioned"
    operation_id: UUID
    secret_version: int
    is_late: bool


class ServiceProvisioningFailed(Event):
    """The resource was not made, or not in time."""

    TOPIC = "ServiceProvisioningFailed"
    operation_id: UUID
    code: str
    message: str


class ServiceOperationDelayed(Event):
    """The provider could not be reached or was busy; the operation goes on later."""

    TOPIC = "ServiceOperationDelayed"
    operation_id: UUID
    attempt: int
    code: str
    message: str
    next_attempt_at: datetime


class ServiceAttachmentRequested(Event):
    """The service is wanted in the next revision."""

    TOPIC = "ServiceAttachmentRequested"


class ServiceDetachmentRequested(Event):
    """The service is not wanted in the next revision."""

    TOPIC = "ServiceDetachmentRequested"


class ServicePrefixRenamed(Event):
    """The service has another prefix, from the next deployment on."""

    TOPIC = "ServicePrefixRenamed"
    prefix: str
    variable_names: tuple[str, ...]


class ServiceConfigured(Event):
    """Another plan or other parameters are wanted, before the resource is ready."""

    TOPIC = "ServiceConfigured"
    plan: str
    parameters: dict[str, Any]


class ServiceUpdateStarted(Event):
    """The provider is asked to change plan or parameters of the resource."""

    TOPIC = "ServiceUpdateStarted"
    operation_id: UUID
    plan: str
    parameters: dict[str, Any]
    deadline: datetime


class ServiceUpdated(Event):
    """The new plan and parameters are in force."""

    TOPIC = "ServiceUpdated"
    operation_id: UUID


class ServiceUpdateFailed(Event):
    """The old plan and parameters stay in force."""

    TOPIC = "ServiceUpdateFailed"
    operation_id: UUID
    code: str
    message: str


class ServiceRotationStarted(Event):
    """The provider is asked for new credentials beside the old ones."""

    TOPIC = "ServiceRotationStarted"
    operation_id: UUID
    secret_version: int
    deadline: datetime


class ServiceCredentialsRotated(Event):
    """A new version of the credentials is valid; the application gets it by a deployment."""

    TOPIC = "ServiceCredentialsRotated"
    operation_id: UUID
    secret_version: int


class ServiceRotationFailed(Event):
    """No new credentials; the old ones stay. Tried again if an application should lose them."""

    TOPIC = "ServiceRotationFailed"
    class_version: ClassVar[int] = 2
    operation_id: UUID
    code: str
    message: str
    retry_at: datetime | None

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Say what was so: nothing was tried again."""
        state["retry_at"] = None


class ServiceCredentialsRevoked(Event):
    """A version of the credentials is no longer valid."""

    TOPIC = "ServiceCredentialsRevoked"
    secret_version: int


class ServiceCredentialsRevealed(Event):
    """Somebody was shown the credentials, and said why."""

    TOPIC = "ServiceCredentialsRevealed"
    secret_version: int
    reason: str


class ServiceProtectionChanged(Event):
    """Removal is guarded, or no longer."""

    TOPIC = "ServiceProtectionChanged"
    protected: bool


class ServiceRemovalRequested(Event):
    """Removal was accepted, and waits: for the operation under way, or for a date."""

    TOPIC = "ServiceRemovalRequested"
    scheduled_for: datetime | None


class ServiceRemovalCancelled(Event):
    """The removal was called off before its date."""

    TOPIC = "ServiceRemovalCancelled"


class ServiceRemovalStarted(Event):
    """The provider is asked to delete the resource."""

    TOPIC = "ServiceRemovalStarted"
    operation_id: UUID
    attempt: int
    deadline: datetime


class ServiceRemovalFailed(Event):
    """The resource may still be there; removal is tried again."""

    TOPIC = "ServiceRemovalFailed"
    operation_id: UUID
    code: str
    message: str
    retry_at: datetime


class ServiceRemoved(Event):
    """The resource is gone, or never was; prefix and unit are free."""

    TOPIC = "ServiceRemoved"


class ServiceAbandoned(Event):
    """An operator gave up removing the resource; it may still cost money."""

    TOPIC = "ServiceAbandoned"
    reason: str


class ServiceDeploymentJoined(Event):
    """A deployment that attaches or detaches the service began."""

    TOPIC = "ServiceDeploymentJoined"
    deployment_id: UUID
    role: values.DeploymentRole


class ServiceAttached(Event):
    """The running revision holds the service's variables."""

    TOPIC = "ServiceAttached"
    deployment_id: UUID
    revision: int
    prefix: str
    variable_names: tuple[str, ...]
    secret_version: int


class ServiceDetached(Event):
    """The running revision no longer holds the service's variables."""

    TOPIC = "ServiceDetached"
    deployment_id: UUID
    revision: int


class ServiceConfigurationApplied(Event):
    """The service stays attached, under new names or with new credentials."""

    TOPIC = "ServiceConfigurationApplied"
    deployment_id: UUID
    revision: int
    prefix: str
    variable_names: tuple[str, ...]
    secret_version: int


class ServiceDeploymentLeft(Event):
    """The deployment ended without effect on the service.

    `is_exposed`: credentials that were made for it had been handed to a deployer.
    """

    TOPIC = "ServiceDeploymentLeft"
    deployment_id: UUID
    role: values.DeploymentRole
    status: values.DeploymentStatus
    reason: str
    is_exposed: bool


class ServiceResultIgnored(Event):
    """A provider's answer came too late to count."""

    TOPIC = "ServiceResultIgnored"
    operation_id: UUID
    result: str


class ServiceCleanupStarted(Event):
    """A resource appeared after removal; the provider is asked to delete it."""

    TOPIC = "ServiceCleanupStarted"


ServiceEvent = (
    ServiceAdded
    | ServiceProvisioningStarted
    | ServiceProvisioned
    | ServiceProvisioningFailed
    | ServiceOperationDelayed
    | ServiceAttachmentRequested
    | ServiceDetachmentRequested
    | ServicePrefixRenamed
    | ServiceConfigured
    | ServiceUpdateStarted
    | ServiceUpdated
    | ServiceUpdateFailed
    | ServiceRotationStarted
    | ServiceCredentialsRotated
    | ServiceRotationFailed
    | ServiceCredentialsRevoked
    | ServiceCredentialsRevealed
    | ServiceProtectionChanged
    | ServiceRemovalRequested
    | ServiceRemovalCancelled
    | ServiceRemovalStarted
    | ServiceRemovalFailed
    | ServiceRemoved
    | ServiceAbandoned
    | ServiceDeploymentJoined
    | ServiceAttached
    | ServiceDetached
    | ServiceConfigurationApplied
    | ServiceDeploymentLeft
    | ServiceResultIgnored
    | ServiceCleanupStarted
)

_SERVICE_EVENTS = frozenset(get_args(ServiceEvent))


def is_service_event(event: Event) -> TypeGuard[ServiceEvent]:
    """Is it about a service instance? A question asked of each event of the log: no chain."""
    return type(event) in _SERVICE_EVENTS
