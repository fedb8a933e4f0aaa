"""Projects with a past, told by the aggregates themselves and folded by the read models' code.

A story keeps its own time: what its commands say happens in 2001, a microsecond apart, and the
log takes it in in 2002, so that every time in it tells which command or event it belongs to.
"""

import dataclasses
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from eventsourcing.domain import Aggregate

from app import catalogue as catalogues
from app.application import request
from app.eventlog import command
from domain import environment, events, project, values
from domain.service_instance import ServiceInstance

TOLD = datetime(2001, 1, 1, tzinfo=UTC)
RECORDED = datetime(2002, 1, 1, tzinfo=UTC)
PROJECT_NAME = "project-0000000"
WORKER = "worker"
WITHIN = timedelta(minutes=30)
_ROLES = (values.MemberRole.VIEWER, values.MemberRole.DEVELOPER, values.MemberRole.MANAGER)


@dataclasses.dataclass(frozen=True)
class Place:
    """An environment and its live service instances."""

    environment: environment.Environment
    services: dict[UUID, ServiceInstance] = dataclasses.field(default_factory=dict)
    gone: dict[UUID, ServiceInstance] = dataclasses.field(default_factory=dict)


class Story:
    """One project; each method is one command, or several, as the use cases carry them out."""

    def __init__(self, *, seed: int, catalogue: catalogues.Catalogue) -> None:
        self.random = random.Random(seed)  # noqa: S311  the same data each time
        self.commands: list[tuple[command.Command, list[events.Event]]] = []
        self.places: list[Place] = []
        self._catalogue = catalogue
        self.now = TOLD
        self._events = 0
        self._advance()
        self.project = project.Project.create(
            project_id=self.new_id(), name=PROJECT_NAME, at=self.now
        )
        self.project.add_member(subject=person(0), role=values.MemberRole.MANAGER, at=self.now)
        for name, protected in {"test": False, "live": True}.items():
            self._open(name, protected=protected)
        made = (self.project, *(place.environment for place in self.places))
        self.commit("create_project", *made, *self._all_services())
        for number in range(self.random.randint(1, 3)):
            role = _ROLES[number % len(_ROLES)]
            self.project.add_member(subject=person(number + 1), role=role, at=self.now)
            self.commit("add_member", self.project)

    @property
    def length(self) -> int:
        """How many events it has so far."""
        return self._events

    def new_id(self) -> UUID:
        """Return an id that is the same each time the story is told."""
        return UUID(int=self.random.getrandbits(128), version=4)

    def subscribe(self, units: Mapping[str, int]) -> None:
        """Let the project use so many units."""
        self.project.subscribe(units=units, at=self.now)
        self.commit("set_subscription", self.project)

    def open(self, name: str) -> Place:
        """Create an environment with its two services."""
        place = self._open(name, protected=False)
        made = (self.project, place.environment, *place.services.values())
        self.commit("create_environment", *made)
        return place

    def add(self, place: Place, offering: str, prefix: str) -> ServiceInstance:
        """Add a service."""
        added = self._add(place, offering, prefix)
        self.commit("add_service", self.project, place.environment, added)
        return added

    def attach(self, service: ServiceInstance) -> None:
        """Want it in the next revision."""
        service.request_attachment(at=self.now)
        self.commit("attach_service", service)

    def detach(self, service: ServiceInstance) -> None:
        """Want it out of the next revision."""
        service.request_detachment(at=self.now)
        self.commit("detach_service", service)

    def reveal(self, service: ServiceInstance) -> None:
        """Show somebody the credentials."""
        service.reveal_credentials(reason="Looking into a slow report.", at=self.now)
        self.commit("reveal_credentials", service)

    def rename(self, place: Place, service: ServiceInstance, prefix: str) -> None:
        """Give it another prefix from the next deployment on."""
        facts = service.facts
        names = self._catalogue.variable_names(kind=facts.kind, prefix=prefix)
        service.rename_prefix(prefix=prefix, variable_names=names, at=self.now)
        self._take_prefix(place, service)
        self.commit("rename_prefix", service, place.environment)

    def rotate(self, service: ServiceInstance) -> None:
        """Make new credentials, which the next deployment brings along."""
        operation_id = self.new_id()
        service.rotate_credentials(
            operation_id=operation_id, deadline=self.now + WITHIN, at=self.now
        )
        self.commit("rotate_credentials", service)
        service.record_rotated(
            operation_id=operation_id,
            secret_version=service.facts.secret_version + 1,
            at=self.now,
        )
        self.commit("rotated", service, actor=WORKER)

    def revoke(self, service: ServiceInstance) -> None:
        """Revoke the credentials that are no longer used."""
        for version in service.facts.unused_secret_versions:
            service.record_revoked(secret_version=version, at=self.now)
            self.commit("revoked", service, actor=WORKER)

    def update(self, service: ServiceInstance) -> None:
        """Change to the other plan."""
        plan = "large" if service.facts.plan == "small" else "small"
        operation_id = self.new_id()
        service.configure(
            plan=plan,
            parameters={},
            operation_id=operation_id,
            deadline=self.now + WITHIN,
            at=self.now,
        )
        self.commit("configure_service", service)
        service.record_updated(operation_id=operation_id, at=self.now)
        self.commit("updated", service, actor=WORKER)

    def provision(self, service: ServiceInstance, *, fails: bool = False) -> None:
        """Have the resource made, or try in vain."""
        service.request_provisioning(
            operation_id=self.new_id(), deadline=self.now + WITHIN, at=self.now
        )
        self.commit("provision_service", service)
        self.report_provisioning(service, fails=fails)

    def remove(self, place: Place, service: ServiceInstance) -> None:
        """Remove a service that is not applied; its prefix and unit are free again."""
        operation_id = self.new_id()
        if service.facts.protected:
            service.change_protection(protected=False, at=self.now)
            self.commit("change_protection", service)
        service.remove(
            confirmation=service.facts.label,
            operation_id=operation_id,
            deadline=self.now + WITHIN,
            grace=timedelta(),
            at=self.now,
        )
        self.commit("remove_service", service)
        service.record_gone(operation_id=operation_id, at=self.now)
        place.environment.free_prefix(service_instance_id=service.id, at=self.now)
        self.project.return_unit(service_instance_id=service.id, at=self.now)
        self.commit("gone", service, place.environment, self.project, actor=WORKER)
        place.gone[service.id] = place.services.pop(service.id)

    def report_provisioning(self, service: ServiceInstance, *, fails: bool) -> None:
        """Take in that the resource is there, or that it is not."""
        operation = service.facts.operation
        assert operation is not None
        follow_up: dict[str, Any] = {
            "operation_id": operation.id,
            "next_operation_id": self.new_id(),
            "deadline": self.now + WITHIN,
            "at": self.now,
        }
        if fails:
            service.record_failure(
                attempt=operation.attempt,
                code="PROVIDER_ERROR",
                message="No space left.",
                **follow_up,
            )
        else:
            service.record_provisioned(**follow_up)
        self.commit("provisioned", service, actor=WORKER)

    def commit(self, name: str, *changed: Aggregate, actor: str | None = None) -> None:
        """Take what was recorded as one command, and let the time pass."""
        recorded: list[events.Event] = [
            event
            for aggregate in changed
            for event in aggregate.collect_events()
            if isinstance(event, events.Event)
        ]
        asked = request.Request(
            actor=person(0) if actor is None else actor,
            name=name,
            content=len(self.commands),
            idempotency_key=str(self.new_id()),
            correlation_id=self.new_id(),
        )
        self.commands.append((asked.as_command(), recorded))
        self._events += len(recorded)
        self._advance()

    def _open(self, name: str, *, protected: bool) -> Place:
        place = Place(
            environment.Environment.create(
                environment_id=self.new_id(),
                project_id=self.project.id,
                name=name,
                protected=protected,
                at=self.now,
            )
        )
        self.places.append(place)
        self.project.list_environment(
            environment_id=place.environment.id, name=name, granted=("postgres", "s3"), at=self.now
        )
        for offering in ("postgres", "s3"):
            self._add(place, offering, values.DEFAULT_PREFIX)
        return place

    def _add(self, place: Place, offering: str, prefix: str) -> ServiceInstance:
        found = self._catalogue.offering(offering)
        plan = found and self._catalogue.plan(found, None)
        assert found is not None
        assert plan is not None
        opened = place.environment
        added = ServiceInstance.add(
            service_instance_id=self.new_id(),
            project_id=self.project.id,
            environment_id=opened.id,
            environment_name=opened.name,
            offering=offering,
            kind=found.kind,
            plan=plan.name,
            region=found.regions[0],
            parameters={},
            prefix=prefix,
            variable_names=self._catalogue.variable_names(kind=found.kind, prefix=prefix),
            protected=opened.protected,
            at=self.now,
        )
        self.project.take_unit(offering=offering, service_instance_id=added.id, at=self.now)
        self._take_prefix(place, added)
        place.services[added.id] = added
        return added

    def _take_prefix(self, place: Place, service: ServiceInstance) -> None:
        place.environment.take_prefix(
            service_instance_id=service.id,
            kind=service.facts.kind,
            prefix=service.facts.prefix,
            variable_names=service.facts.variable_names,
            at=self.now,
        )

    def _all_services(self) -> list[ServiceInstance]:
        return [service for place in self.places for service in place.services.values()]

    def _advance(self) -> None:
        self.now += timedelta(microseconds=1)


def person(number: int) -> str:
    """Return the name of a person that every copy of a story has its own of."""
    return f"person-{number:07}"
