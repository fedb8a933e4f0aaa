"""Service instances with a past: each row of the tables of states, brought about by commands."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from domain import errors, events, service_facts, service_fold, service_instance, values
from domain.service_instance import ServiceInstance

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEADLINE = NOW + timedelta(minutes=30)
GRACE = timedelta(days=7)
NO_GRACE = timedelta()

TEMPLATES = {
    values.ServiceKind.DATABASE: ("{P}_DATABASE_DSN", "DATABASE_URL"),
    values.ServiceKind.STORAGE: ("{P}_STORAGE_DSN", None),
    values.ServiceKind.SEARCH: ("{P}_HAYSTACK_URL", None),
    values.ServiceKind.QUEUE: ("{P}_AMQP_BROKER_URL", "BROKER_URL"),
    values.ServiceKind.CACHE: ("{P}_CACHE_URL", None),
}
"""Section 4 of the rules: the variable of a kind, and its alias for the prefix DEFAULT."""


def names_for(
    prefix: str, kind: values.ServiceKind = values.ServiceKind.DATABASE
) -> tuple[str, ...]:
    template, alias = TEMPLATES[kind]
    name = template.format(P=prefix)
    return (name, alias) if alias and prefix == "DEFAULT" else (name,)


def added(**differences: Any) -> ServiceInstance:  # noqa: ANN401  fields of any type
    """A postgres in the environment `test`, unprotected, just added."""
    kind = differences.get("kind", values.ServiceKind.DATABASE)
    prefix = differences.get("prefix", "DEFAULT")
    given: dict[str, Any] = {
        "service_instance_id": uuid4(),
        "project_id": uuid4(),
        "environment_id": uuid4(),
        "environment_name": "test",
        "offering": "postgres",
        "kind": kind,
        "plan": "small",
        "region": "here",
        "parameters": {},
        "prefix": prefix,
        "variable_names": names_for(prefix, kind),
        "protected": False,
        "at": NOW,
    }
    return ServiceInstance.add(**(given | differences))


# Commands and results, with what does not matter to a test filled in.


def provision(instance: ServiceInstance, *, at: datetime = NOW) -> UUID:
    operation_id = uuid4()
    instance.request_provisioning(
        operation_id=operation_id, deadline=at + timedelta(minutes=30), at=at
    )
    return operation_id


def configure(
    instance: ServiceInstance, *, plan: str = "large", parameters: dict[str, Any] | None = None
) -> UUID:
    operation_id = uuid4()
    instance.configure(
        plan=plan,
        parameters=parameters or {},
        operation_id=operation_id,
        deadline=DEADLINE,
        at=NOW,
    )
    return operation_id


def rotate(instance: ServiceInstance) -> UUID:
    operation_id = uuid4()
    instance.rotate_credentials(operation_id=operation_id, deadline=DEADLINE, at=NOW)
    return operation_id


def rename(instance: ServiceInstance, prefix: str) -> None:
    names = names_for(prefix, instance.facts.kind)
    instance.rename_prefix(prefix=prefix, variable_names=names, at=NOW)


def remove(
    instance: ServiceInstance,
    *,
    confirmation: str | None = "as asked",
    grace: timedelta = NO_GRACE,
    at: datetime = NOW,
) -> UUID:
    operation_id = uuid4()
    instance.remove(
        confirmation=instance.facts.label if confirmation == "as asked" else confirmation,
        operation_id=operation_id,
        deadline=at + timedelta(minutes=30),
        grace=grace,
        at=at,
    )
    return operation_id


def start_scheduled_removal(instance: ServiceInstance, *, at: datetime) -> UUID:
    operation_id = uuid4()
    instance.start_scheduled_removal(
        operation_id=operation_id, deadline=at + timedelta(minutes=30), at=at
    )
    return operation_id


def retry_removal(instance: ServiceInstance, *, at: datetime) -> UUID:
    operation_id = uuid4()
    instance.retry_removal(operation_id=operation_id, deadline=at + timedelta(minutes=30), at=at)
    return operation_id


def current_operation(instance: ServiceInstance) -> service_facts.Operation:
    assert instance.facts.operation is not None
    return instance.facts.operation


def report_provisioned(
    instance: ServiceInstance, *, operation_id: UUID | None = None, at: datetime = NOW
) -> UUID:
    next_operation_id = uuid4()
    instance.record_provisioned(
        operation_id=operation_id or current_operation(instance).id,
        next_operation_id=next_operation_id,
        deadline=at + timedelta(minutes=30),
        at=at,
    )
    return next_operation_id


def report_failure(
    instance: ServiceInstance,
    *,
    operation_id: UUID | None = None,
    attempt: int | None = None,
    code: str = "PROVIDER_ERROR",
    at: datetime = NOW,
) -> UUID:
    next_operation_id = uuid4()
    under_way = instance.facts.operation
    instance.record_failure(
        operation_id=operation_id or current_operation(instance).id,
        attempt=attempt or (under_way.attempt if under_way else 1),
        code=code,
        message="No space left.",
        next_operation_id=next_operation_id,
        deadline=at + timedelta(minutes=30),
        at=at,
    )
    return next_operation_id


def report_rotated(
    instance: ServiceInstance, *, version: int, operation_id: UUID | None = None
) -> None:
    instance.record_rotated(
        operation_id=operation_id or current_operation(instance).id,
        secret_version=version,
        at=NOW,
    )


def report_gone(instance: ServiceInstance, *, operation_id: UUID | None = None) -> None:
    instance.record_gone(operation_id=operation_id or current_operation(instance).id, at=NOW)


def expire(
    instance: ServiceInstance, *, operation_id: UUID | None = None, at: datetime = DEADLINE
) -> UUID:
    next_operation_id = uuid4()
    instance.expire_operation(
        operation_id=operation_id or current_operation(instance).id,
        next_operation_id=next_operation_id,
        deadline=at + timedelta(minutes=30),
        at=at,
    )
    return next_operation_id


def join(instance: ServiceInstance, role: values.DeploymentRole) -> UUID:
    deployment_id = uuid4()
    instance.join_deployment(deployment_id=deployment_id, role=role, at=NOW)
    return deployment_id


def take_effect(
    instance: ServiceInstance,
    role: values.DeploymentRole | None,
    *,
    deployment_id: UUID | None = None,
    is_changed: bool = False,
) -> None:
    facts = instance.facts
    instance.take_effect(
        deployment_id=deployment_id or facts.deployment_id or uuid4(),
        revision=1,
        item=events.SnapshotItem(
            service_instance_id=instance.id,
            role=role,
            prefix=facts.prefix,
            variable_names=facts.variable_names,
            secret_version=facts.secret_version,
            is_changed=is_changed,
        ),
        at=NOW,
    )


def leave(
    instance: ServiceInstance,
    deployment_id: UUID,
    status: values.DeploymentStatus = values.DeploymentStatus.FAILED,
    *,
    is_exposed: bool = False,
) -> None:
    instance.leave_deployment(
        deployment_id=deployment_id,
        status=status,
        reason="The health check failed.",
        is_exposed=is_exposed,
        at=NOW,
    )


# The rows of the tables.


def new() -> ServiceInstance:
    return added()


def new_parked() -> ServiceInstance:
    return _detached_from_next(new())


def new_failed() -> ServiceInstance:
    instance = provisioning()
    report_failure(instance)
    return instance


def new_failed_parked() -> ServiceInstance:
    return _detached_from_next(new_failed())


def provisioning() -> ServiceInstance:
    instance = new()
    provision(instance)
    return instance


def provisioning_parked() -> ServiceInstance:
    return _detached_from_next(provisioning())


def removal_pending() -> ServiceInstance:
    """Being provisioned, with removal requested."""
    instance = provisioning()
    remove(instance)
    return instance


def removal_scheduled() -> ServiceInstance:
    """Ready, in the grace period of its removal."""
    instance = detached()
    remove(instance, grace=GRACE)
    return instance


def pending_attachment() -> ServiceInstance:
    instance = provisioning()
    report_provisioned(instance)
    return instance


def attached() -> ServiceInstance:
    instance = pending_attachment()
    join(instance, values.DeploymentRole.ATTACH)
    take_effect(instance, values.DeploymentRole.ATTACH)
    return instance


def pending_detachment() -> ServiceInstance:
    return _detached_from_next(attached())


def detached() -> ServiceInstance:
    return _detached_from_next(pending_attachment())


def detached_by_a_deployment() -> ServiceInstance:
    """An application had its credentials."""
    instance = pending_detachment()
    join(instance, values.DeploymentRole.DETACH)
    take_effect(instance, values.DeploymentRole.DETACH)
    return instance


def removing() -> ServiceInstance:
    instance = detached()
    remove(instance)
    return instance


def removing_never_ready() -> ServiceInstance:
    instance = new_failed()
    remove(instance)
    return instance


def removal_failed() -> ServiceInstance:
    instance = removing()
    report_failure(instance)
    return instance


def removed() -> ServiceInstance:
    instance = removing()
    report_gone(instance)
    return instance


def removed_unsent() -> ServiceInstance:
    instance = new()
    remove(instance)
    return instance


def abandoned() -> ServiceInstance:
    instance = removal_failed()
    instance.abandon(reason="The data centre is gone.", at=NOW)
    return instance


def _detached_from_next(instance: ServiceInstance) -> ServiceInstance:
    instance.request_detachment(at=NOW)
    return instance


ROWS: dict[str, Callable[[], ServiceInstance]] = {
    "new": new,
    "new parked": new_parked,
    "new failed": new_failed,
    "new failed parked": new_failed_parked,
    "provisioning": provisioning,
    "provisioning parked": provisioning_parked,
    "removal pending": removal_pending,
    "removal scheduled": removal_scheduled,
    "pending attachment": pending_attachment,
    "attached": attached,
    "pending detachment": pending_detachment,
    "detached": detached,
    "removing": removing,
    "removing never ready": removing_never_ready,
    "removal failed": removal_failed,
    "removed": removed,
    "removed unsent": removed_unsent,
    "abandoned": abandoned,
}


# What happened.


def news(instance: ServiceInstance, act: Callable[[], object]) -> list[str]:
    """Do it, and return the names of the events that it recorded."""
    before = len(instance.pending_events)
    act()
    return [type(event).__name__ for event in instance.pending_events[before:]]


def refusal_of(act: Callable[[], object]) -> errors.RefusedError:
    """Do it, and return the refusal that it must raise."""
    try:
        act()
    except errors.RefusedError as refusal:
        return refusal
    raise AssertionError("it was accepted")


def replayed(instance: ServiceInstance) -> service_facts.ServiceFacts:
    """The facts, folded afresh from the recorded events."""
    first, *others = instance.pending_events
    assert isinstance(first, events.ServiceAdded)
    facts = service_fold.begin(first)
    for event in others:
        assert isinstance(event, events.Event)
        facts = service_fold.evolve(event, facts)
    return facts


DEADLINE_EXCEEDED = service_instance.DEADLINE_EXCEEDED
