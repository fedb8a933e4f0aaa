"""A project: its members, its environments, and how much it may use."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain import errors, events, values
from domain.errors import RefusalCode

_MANAGER = values.MemberRole.MANAGER


class Project(Aggregate):
    """The commands of a project; units are counted here, never in a read model (R3)."""

    TOPIC: ClassVar[str] = "Project"
    fold_version: ClassVar[int] = 1  # raised when `apply` or what it assigns changes
    Event = events.Event
    Created = events.ProjectCreated

    def __init__(self, *, name: str) -> None:
        self.name = name
        self.members: dict[str, values.MemberRole] = {}
        self.environments: dict[UUID, str] = {}
        self.units: dict[str, int] = {}
        self.holders: dict[UUID, str] = {}

    @classmethod
    def create(cls, *, project_id: UUID, name: str, at: datetime) -> Self:
        """Create a project without environments."""
        return cls._create(events.ProjectCreated, id=project_id, timestamp=at, name=name)

    def apply(self, event: events.Event) -> None:
        """Take an event in, new or replayed."""
        match event:
            case events.ProjectCreated():
                pass  # the library hands its fields to __init__
            case events.MemberAdded():
                self.members[event.subject] = event.role
            case events.MemberRemoved():
                del self.members[event.subject]
            case events.SubscriptionChanged():
                self.units[event.offering] = event.units
            case events.EnvironmentListed():
                self.environments[event.environment_id] = event.name
                for offering in event.granted:
                    self.units[offering] = self.units.get(offering, 0) + 1
            case events.EnvironmentUnlisted():
                del self.environments[event.environment_id]
                for offering in event.withdrawn:
                    self.units[offering] = max(self.units.get(offering, 0) - 1, 0)
            case events.UnitTaken():
                self.holders[event.service_instance_id] = event.offering
            case events.UnitReturned():
                del self.holders[event.service_instance_id]
            case _:
                raise TypeError(f"{type(event).__name__} is no event of a project")

    def used(self, offering: str) -> int:
        """Return how many live instances of the offering the project has."""
        return sum(1 for held in self.holders.values() if held == offering)

    def add_member(self, *, subject: str, role: values.MemberRole, at: datetime) -> None:
        """Give a person a role, or another one. Raises INVALID_INPUT for the last manager."""
        if self.members.get(subject) is not role:
            if role is not _MANAGER:
                self._require_another_manager(subject, f"make {subject} {role.value}")
            self.trigger_event(events.MemberAdded, timestamp=at, subject=subject, role=role)

    def remove_member(self, *, subject: str, at: datetime) -> None:
        """Take a person out of the project. Raises INVALID_INPUT for the last manager."""
        if subject in self.members:
            self._require_another_manager(subject, f"remove {subject}")
            self.trigger_event(events.MemberRemoved, timestamp=at, subject=subject)

    def subscribe(self, *, units: Mapping[str, int], at: datetime) -> None:
        """Set how many units of these offerings the project may use, in all.

        Fewer than are in use is accepted: only adding is refused then (R4).
        """
        for offering, count in units.items():
            if count < 0:
                raise errors.InputRefusedError(
                    code=RefusalCode.INVALID_INPUT,
                    message=f"{count} units of {offering}: give zero or more.",
                    path="units",
                )
        for offering, count in units.items():
            if count != self.units.get(offering, 0):
                self.trigger_event(
                    events.SubscriptionChanged, timestamp=at, offering=offering, units=count
                )

    def list_environment(
        self, *, environment_id: UUID, name: str, granted: tuple[str, ...], at: datetime
    ) -> None:
        """Take an environment in, with a unit of each offering in `granted` (R5).

        Raises NAME_TAKEN, and QUOTA_EXCEEDED if more is in use than the project may have (R4).
        """
        for holder_id, held in self.environments.items():
            if held == name:
                raise errors.TakenRefusedError(
                    code=RefusalCode.NAME_TAKEN,
                    message=f"The project {self.name} has an environment {name} already. "
                    "Choose another name.",
                    holder_id=holder_id,
                    holder_type="Environment",
                )
        for offering in granted:
            self._require_no_excess(offering, f"create the environment {name}")
        self.trigger_event(
            events.EnvironmentListed,
            timestamp=at,
            environment_id=environment_id,
            name=name,
            granted=granted,
        )

    def unlist_environment(
        self, *, environment_id: UUID, withdrawn: tuple[str, ...], at: datetime
    ) -> None:
        """Let a deleted environment go, and its base subscription with it."""
        self.trigger_event(
            events.EnvironmentUnlisted,
            timestamp=at,
            environment_id=environment_id,
            withdrawn=withdrawn,
        )

    def take_unit(self, *, offering: str, service_instance_id: UUID, at: datetime) -> None:
        """Take a unit for a new instance (R2, R3). Raises NOT_SUBSCRIBED or QUOTA_EXCEEDED."""
        limit, used = self.units.get(offering, 0), self.used(offering)
        if used >= limit:
            raise errors.QuotaRefusedError(
                code=RefusalCode.QUOTA_EXCEEDED if limit else RefusalCode.NOT_SUBSCRIBED,
                message=f"Cannot add {offering}: "
                + (
                    f"{used} of {limit} units are in use. Remove an instance, or raise the "
                    "subscription."
                    if limit
                    else f"the subscription of {self.name} does not include it. Raise the "
                    "subscription."
                ),
                offering=offering,
                limit=limit,
                used=used,
            )
        self.trigger_event(
            events.UnitTaken,
            timestamp=at,
            offering=offering,
            service_instance_id=service_instance_id,
        )

    def return_unit(self, *, service_instance_id: UUID, at: datetime) -> None:
        """Return the unit of a removed instance."""
        if service_instance_id in self.holders:
            self.trigger_event(
                events.UnitReturned,
                timestamp=at,
                offering=self.holders[service_instance_id],
                service_instance_id=service_instance_id,
            )

    def _require_no_excess(self, offering: str, wanted: str) -> None:
        """Refuse what brings an instance and its unit if more is in use already.

        The unit would not be free. The refusal does not count it: it is not the project's yet.
        """
        limit, used = self.units.get(offering, 0), self.used(offering)
        if used > limit:
            raise errors.QuotaRefusedError(
                code=RefusalCode.QUOTA_EXCEEDED,
                message=f"Cannot {wanted}, which comes with {offering}: {used} of {limit} units "
                "are in use. Remove instances, or raise the subscription.",
                offering=offering,
                limit=limit,
                used=used,
            )

    def _require_another_manager(self, subject: str, wanted: str) -> None:
        """Refuse to leave a project to operators alone: its members could not help themselves."""
        managers = {each for each, role in self.members.items() if role is _MANAGER}
        if managers == {subject}:
            raise errors.InputRefusedError(
                code=RefusalCode.INVALID_INPUT,
                message=f"Cannot {wanted}: nobody else is a manager of {self.name}. Make somebody "
                "else one first.",
                path="subject",
            )
