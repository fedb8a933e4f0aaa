"""How a deployment ends: with effect on all instances at once, or on none."""

import dataclasses

from app.application.unit_of_work import UnitOfWork
from domain import deployment


async def switch(work: UnitOfWork, found: deployment.Deployment, *, output: str = "") -> None:
    """Make the new revision the running one, for all instances at once (R35)."""
    found.report_output(output=output, at=work.now)
    opened = await work.environment(found.started.environment_id)
    changing = [item for item in found.started.items if item.role or item.is_changed]
    instances = await work.services(item.service_instance_id for item in changing)
    versions = {v.service_instance_id: v.secret_version for v in found.variables}
    found.succeed(at=work.now)
    opened.end_deployment(
        deployment_id=found.id,
        status=found.status,
        revision=found.revision,
        variables=found.variables,
        at=work.now,
    )
    for item in changing:
        version = versions.get(item.service_instance_id)
        instances[item.service_instance_id].take_effect(
            deployment_id=found.id,
            revision=found.revision or 0,
            item=dataclasses.replace(item, secret_version=version),
            at=work.now,
        )


async def fail(
    work: UnitOfWork, found: deployment.Deployment, *, code: str, message: str, output: str = ""
) -> None:
    """End a deployment at the step that it reached."""
    found.report_output(output=output, at=work.now)
    found.fail(code=code, message=message, at=work.now)
    await let_go(work, found, reason=f"{found.step}: {message}")


async def let_go(work: UnitOfWork, found: deployment.Deployment, *, reason: str) -> None:
    """End a deployment without effect: the running revision stays as it is (R34)."""
    opened = await work.environment(found.started.environment_id)
    opened.end_deployment(
        deployment_id=found.id, status=found.status, revision=None, variables=None, at=work.now
    )
    held = {item.service_instance_id: item for item in found.started.items if item.role}
    for instance in (await work.services(held)).values():
        was_made_for_it = held[instance.id].secret_version is None
        instance.leave_deployment(
            deployment_id=found.id,
            status=found.status,
            reason=reason,
            is_exposed=found.is_exposed and was_made_for_it,
            at=work.now,
        )
