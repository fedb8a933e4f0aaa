"""A service instance takes its place in project and environment, and gives it back."""

from uuid import UUID

from app.application.choices import Choice
from app.application.unit_of_work import UnitOfWork
from domain import environment, project, service_instance


def add_to(
    work: UnitOfWork,
    owner: project.Project,
    opened: environment.Environment,
    *,
    service_instance_id: UUID,
    choice: Choice,
    prefix: str,
) -> None:
    """Add an instance: its unit, its prefix and itself, in one transaction (R3)."""
    names = choice.variable_names(prefix)
    owner.take_unit(
        offering=choice.offering.name, service_instance_id=service_instance_id, at=work.now
    )
    opened.take_prefix(
        service_instance_id=service_instance_id,
        kind=choice.offering.kind,
        prefix=prefix,
        variable_names=names,
        at=work.now,
    )
    work.add(
        service_instance.ServiceInstance.add(
            service_instance_id=service_instance_id,
            project_id=owner.id,
            environment_id=opened.id,
            environment_name=opened.name,
            offering=choice.offering.name,
            kind=choice.offering.kind,
            plan=choice.plan,
            region=choice.offering.regions[0],
            parameters=choice.parameters,
            prefix=prefix,
            variable_names=names,
            protected=opened.protected,
            at=work.now,
        )
    )


async def free(work: UnitOfWork, removed: service_instance.ServiceInstance) -> None:
    """Take prefix and unit back from an instance that was just removed (R3, R11)."""
    opened = await work.environment(removed.facts.environment_id)
    opened.free_prefix(service_instance_id=removed.id, at=work.now)
    owner = await work.project(removed.facts.project_id)
    owner.return_unit(service_instance_id=removed.id, at=work.now)
