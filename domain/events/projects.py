"""Facts about a project: its members, environments and units."""

from uuid import UUID

from domain import values
from domain.events.recorded import Created, Event


class ProjectCreated(Created):
    """A project began."""

    TOPIC = "ProjectCreated"
    name: str


class MemberAdded(Event):
    """A person got a role, or another one."""

    TOPIC = "MemberAdded"
    subject: str
    role: values.MemberRole


class MemberRemoved(Event):
    """A person is no longer a member."""

    TOPIC = "MemberRemoved"
    subject: str


class SubscriptionChanged(Event):
    """The project may now use so many units of an offering."""

    TOPIC = "SubscriptionChanged"
    offering: str
    units: int


class EnvironmentListed(Event):
    """An environment was created, and its base subscription granted: a unit per offering."""

    TOPIC = "EnvironmentListed"
    environment_id: UUID
    name: str
    granted: tuple[str, ...]


class EnvironmentUnlisted(Event):
    """An environment was deleted, and its base subscription withdrawn."""

    TOPIC = "EnvironmentUnlisted"
    environment_id: UUID
    withdrawn: tuple[str, ...]


class UnitTaken(Event):
    """A service instance took a unit of its offering."""

    TOPIC = "UnitTaken"
    offering: str
    service_instance_id: UUID


class UnitReturned(Event):
    """A removed service instance returned its unit."""

    TOPIC = "UnitReturned"
    offering: str
    service_instance_id: UUID
