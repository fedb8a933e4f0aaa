"""From one event of a service instance to the next facts.

The one fold of a service instance: the aggregate decides on its result, and the read model
stores it, so that both always agree.
"""

import dataclasses
from datetime import datetime
from functools import singledispatch

from domain import events, states, values
from domain.service_facts import Operation, ServiceFacts


@singledispatch
def evolve(event: events.Event, facts: ServiceFacts) -> ServiceFacts:
    """Return the facts after the event. It only assigns: the command has checked the rules."""
    raise TypeError(f"{type(event).__name__} does not follow from {facts.state}")


def begin(event: events.ServiceAdded) -> ServiceFacts:
    """Return the facts of an instance that was just added."""
    return ServiceFacts(
        project_id=event.project_id,
        environment_id=event.environment_id,
        environment_name=event.environment_name,
        offering=event.offering,
        kind=event.kind,
        plan=event.plan,
        region=event.region,
        parameters=event.parameters,
        prefix=event.prefix,
        variable_names=event.variable_names,
        protected=event.protected,
    )


def _started(
    *,
    event: events.ServiceProvisioningStarted
    | events.ServiceUpdateStarted
    | events.ServiceRotationStarted
    | events.ServiceRemovalStarted,
    kind: values.OperationKind,
    attempt: int = 1,
) -> Operation:
    return Operation(
        id=event.operation_id,
        kind=kind,
        status=values.OperationStatus.IN_PROGRESS,
        attempt=attempt,
        started_at=event.timestamp,
        deadline=event.deadline,
    )


def _failed(
    facts: ServiceFacts, *, code: str, message: str, retry_at: datetime | None = None
) -> Operation | None:
    if facts.operation is None:
        return None
    return dataclasses.replace(
        facts.operation,
        status=values.OperationStatus.FAILED,
        error_code=code,
        error_message=message,
        next_attempt_at=retry_at,
    )


@evolve.register
def _(event: events.ServiceProvisioningStarted, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        resource=states.Resource.CREATING,
        was_requested=True,
        requested_plan=facts.plan,
        requested_parameters=facts.parameters,
        operation=_started(event=event, kind=values.OperationKind.PROVISION, attempt=event.attempt),
    )


@evolve.register
def _(event: events.ServiceProvisioned, facts: ServiceFacts) -> ServiceFacts:
    latest = _as_requested(facts) if event.is_late else facts
    return latest.having(
        resource=states.Resource.READY,
        was_ready=True,
        operation=None,
        secret_version=event.secret_version,
        secret_versions=(event.secret_version,),
    )


def _as_requested(facts: ServiceFacts) -> ServiceFacts:
    """Return the facts of what a provider made late: by then, something else may be wanted."""
    requested = (facts.requested_plan, facts.requested_parameters)
    if requested == (facts.plan, facts.parameters) or None in requested:
        return facts
    return facts.having(
        plan=facts.requested_plan or facts.plan,
        parameters=facts.requested_parameters or {},
        next_plan=facts.plan,
        next_parameters=facts.parameters,
    )


@evolve.register
def _(event: events.ServiceProvisioningFailed, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        resource=states.Resource.ABSENT,
        operation=_failed(facts, code=event.code, message=event.message),
        plan=facts.plan if facts.next_plan is None else facts.next_plan,
        parameters=facts.parameters if facts.next_parameters is None else facts.next_parameters,
        next_plan=None,
        next_parameters=None,
    )


@evolve.register
def _(event: events.ServiceOperationDelayed, facts: ServiceFacts) -> ServiceFacts:
    if facts.operation is None:
        return facts
    return facts.having(
        operation=dataclasses.replace(
            facts.operation,
            attempt=event.attempt,
            error_code=event.code,
            error_message=event.message,
            next_attempt_at=event.next_attempt_at,
        ),
    )


@evolve.register
def _(_event: events.ServiceAttachmentRequested, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(wanted=True)


@evolve.register
def _(_event: events.ServiceDetachmentRequested, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(wanted=False)


@evolve.register
def _(event: events.ServicePrefixRenamed, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(prefix=event.prefix, variable_names=event.variable_names)


@evolve.register
def _(event: events.ServiceConfigured, facts: ServiceFacts) -> ServiceFacts:
    if facts.resource is states.Resource.CREATING:
        return facts.having(next_plan=event.plan, next_parameters=event.parameters)
    return facts.having(plan=event.plan, parameters=event.parameters)


@evolve.register
def _(event: events.ServiceUpdateStarted, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        next_plan=event.plan,
        next_parameters=event.parameters,
        operation=_started(event=event, kind=values.OperationKind.UPDATE),
    )


@evolve.register
def _(_event: events.ServiceUpdated, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        plan=facts.plan if facts.next_plan is None else facts.next_plan,
        parameters=facts.parameters if facts.next_parameters is None else facts.next_parameters,
        next_plan=None,
        next_parameters=None,
        operation=None,
    )


@evolve.register
def _(event: events.ServiceUpdateFailed, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        next_plan=None,
        next_parameters=None,
        operation=_failed(facts, code=event.code, message=event.message),
    )


@evolve.register
def _(event: events.ServiceRotationStarted, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(operation=_started(event=event, kind=values.OperationKind.ROTATE))


@evolve.register
def _(event: events.ServiceCredentialsRotated, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        operation=None,
        secret_version=event.secret_version,
        secret_versions=(*facts.secret_versions, event.secret_version),
        owes_renewal=False,
        renewal_attempts=0,
    )


@evolve.register
def _(event: events.ServiceRotationFailed, facts: ServiceFacts) -> ServiceFacts:
    failed = facts.having(
        operation=_failed(facts, code=event.code, message=event.message, retry_at=event.retry_at),
    )
    if event.retry_at is None:
        return failed
    return failed.having(renewal_attempts=facts.renewal_attempts + 1)


@evolve.register
def _(event: events.ServiceCredentialsRevoked, facts: ServiceFacts) -> ServiceFacts:
    remaining = tuple(v for v in facts.secret_versions if v != event.secret_version)
    return facts.having(secret_versions=remaining)


@evolve.register(events.ServiceCredentialsRevealed)
@evolve.register(events.ServiceResultIgnored)
@evolve.register(events.ServiceCleanupStarted)
def _(_event: events.Event, facts: ServiceFacts) -> ServiceFacts:
    return facts  # recorded for people to read; nothing else follows from it


@evolve.register
def _(event: events.ServiceProtectionChanged, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(protected=event.protected)


@evolve.register
def _(event: events.ServiceRemovalRequested, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        wanted=False,
        wanted_before_removal=facts.wanted,
        removal_requested=True,
        removal_scheduled_for=event.scheduled_for,
    )


@evolve.register
def _(_event: events.ServiceRemovalCancelled, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        wanted=facts.wanted_before_removal,
        wanted_before_removal=False,
        removal_requested=False,
        removal_scheduled_for=None,
    )


@evolve.register
def _(event: events.ServiceRemovalStarted, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        resource=states.Resource.DELETING,
        wanted=False,
        removal_requested=True,
        removal_scheduled_for=None,
        removal_attempts=event.attempt,
        next_plan=None,
        next_parameters=None,
        operation=_started(event=event, kind=values.OperationKind.REMOVE, attempt=event.attempt),
    )


@evolve.register
def _(event: events.ServiceRemovalFailed, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        operation=_failed(facts, code=event.code, message=event.message, retry_at=event.retry_at),
    )


def _gone(facts: ServiceFacts, *, abandoned: bool) -> ServiceFacts:
    return facts.having(
        resource=states.Resource.GONE,
        wanted=False,
        operation=None,
        removal_requested=False,
        removal_scheduled_for=None,
        secret_versions=(),
        abandoned=abandoned,
    )


@evolve.register
def _(_event: events.ServiceRemoved, facts: ServiceFacts) -> ServiceFacts:
    return _gone(facts, abandoned=False)


@evolve.register
def _(_event: events.ServiceAbandoned, facts: ServiceFacts) -> ServiceFacts:
    return _gone(facts, abandoned=True)


@evolve.register
def _(event: events.ServiceDeploymentJoined, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(deployment_id=event.deployment_id, deployment_role=event.role)


@evolve.register(events.ServiceAttached)
@evolve.register(events.ServiceConfigurationApplied)
def _(
    event: events.ServiceAttached | events.ServiceConfigurationApplied, facts: ServiceFacts
) -> ServiceFacts:
    return facts.having(
        applied=True,
        applied_prefix=event.prefix,
        applied_variable_names=event.variable_names,
        applied_secret_version=event.secret_version,
        owes_renewal=False,
        renewal_attempts=0,
        deployment_id=None,
        deployment_role=None,
    )


@evolve.register
def _(_event: events.ServiceDetached, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        applied=False,
        applied_prefix=None,
        applied_variable_names=None,
        applied_secret_version=None,
        owes_renewal=True,
        deployment_id=None,
        deployment_role=None,
    )


@evolve.register
def _(event: events.ServiceDeploymentLeft, facts: ServiceFacts) -> ServiceFacts:
    return facts.having(
        owes_renewal=facts.owes_renewal or (event.is_exposed and not facts.applied),
        deployment_id=None,
        deployment_role=None,
    )
