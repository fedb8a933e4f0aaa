"""Which tasks follow from which event."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from app.eventlog.task import Task
from domain import deployment, events, values
from projections.projection import RecordedEvent

# A worker that was given up may have made the resource again, and ended before it could tell.
# Longer than any provider goes on for after the call that began.
_LATECOMERS_ARE_GONE = timedelta(minutes=2)
_SECRETS_STAY = timedelta(hours=1)  # so that a rollback by the former deployer can end


def tasks_for(recorded: RecordedEvent) -> Sequence[Task]:
    """Return the tasks that follow from an event; most events have none."""
    return [
        Task(
            name=task.name,
            args={
                **task.args,
                "correlation_id": str(recorded.correlation_id),
                "causation_id": str(recorded.event_id),
                **({"traceparent": recorded.traceparent} if recorded.traceparent else {}),
            },
            run_at=task.run_at,
        )
        for task in _tasks(recorded.event)
    ]


def _tasks(event: events.Event) -> Sequence[Task]:
    match event:
        case events.ServiceProvisioningStarted():
            return [_perform(event, event.attempt), _expire(event)]
        case events.ServiceUpdateStarted() | events.ServiceRotationStarted():
            return [_perform(event, attempt=1), _expire(event)]
        case events.ServiceRemovalStarted():
            return [_perform(event, event.attempt), _expire(event)]
        case events.ServiceOperationDelayed():
            return [_perform(event, event.attempt, run_at=event.next_attempt_at)]
        case _ if events.is_service_event(event):
            return _tasks_of_service(event)
        case _:
            return _tasks_of_deployment(event)


def _tasks_of_deployment(event: events.Event) -> Sequence[Task]:
    match event:
        case events.DeploymentStarted():
            return [
                _of_deployment("advance_deployment", event),
                _of_deployment("expire_deployment", event, run_at=event.deadline),
            ]
        case events.DeploymentStepStarted(step=values.DeploymentStep.RELEASE):
            return [_of_deployment("release", event, attempt=1)]
        case events.DeploymentReleaseDelayed():
            return [
                _of_deployment(
                    "release", event, attempt=event.attempt, run_at=event.next_attempt_at
                )
            ]
        case events.EnvironmentDeployerConfigured():
            return [_forget_secrets(event, run_at=event.timestamp + _SECRETS_STAY)]
        case events.EnvironmentDeleted():
            return [_forget_secrets(event)]
        case (
            events.DeploymentCancelled()
            | events.DeploymentFailed(code=deployment.DEADLINE_EXCEEDED)
        ):
            return [_of_deployment("roll_back", event)]
        case _:
            return []


def _tasks_of_service(event: events.Event) -> Sequence[Task]:
    match event:
        case events.ServiceProvisioned() | events.ServiceProvisioningFailed():
            return [_of_service("continue_deployment", event)]
        case events.ServiceRemovalRequested(scheduled_for=datetime() as due):
            return [_of_service("start_scheduled_removal", event, run_at=due)]
        case events.ServiceRemovalFailed():
            return [_of_service("retry_removal", event, run_at=event.retry_at)]
        case (
            events.ServiceCredentialsRotated()
            | events.ServiceConfigurationApplied()
            | events.ServiceAttached()
            | events.ServiceDeploymentLeft(is_exposed=False)  # it kept all while it ran
        ):
            return [_of_service("revoke_unused", event)]
        case events.ServiceDetached() | events.ServiceRemovalCancelled():
            return [_of_service("renew_credentials", event)]
        case events.ServiceRotationFailed(retry_at=datetime() as due):
            return [_of_service("renew_credentials", event, run_at=due)]
        case events.ServiceDeploymentLeft():
            # At once what it kept: the renewal may fail.
            return [_of_service("revoke_unused", event), _of_service("renew_credentials", event)]
        case events.ServiceRemoved() | events.ServiceAbandoned():
            return _after_removal(event)
        case events.ServiceCleanupStarted():
            return [_of_service("clean_up", event)]
        case _:
            return []


def _after_removal(event: events.ServiceRemoved | events.ServiceAbandoned) -> Sequence[Task]:
    forget = _of_service("forget_credentials", event)
    if isinstance(event, events.ServiceAbandoned):
        return [forget]
    at = event.timestamp + _LATECOMERS_ARE_GONE
    return [forget, _of_service("clean_up", event, run_at=at)]


_Operation = (
    events.ServiceProvisioningStarted
    | events.ServiceUpdateStarted
    | events.ServiceRotationStarted
    | events.ServiceRemovalStarted
    | events.ServiceOperationDelayed
)


def _perform(event: _Operation, attempt: int, run_at: datetime | None = None) -> Task:
    return _of_service(
        "perform_operation",
        event,
        operation_id=event.operation_id,
        attempt=attempt,
        run_at=run_at,
    )


def _expire(
    event: events.ServiceProvisioningStarted
    | events.ServiceUpdateStarted
    | events.ServiceRotationStarted
    | events.ServiceRemovalStarted,
) -> Task:
    return _of_service(
        "expire_operation", event, operation_id=event.operation_id, run_at=event.deadline
    )


def _of_service(
    name: str, event: events.Event, *, run_at: datetime | None = None, **args: UUID | int
) -> Task:
    given = {"service_instance_id": event.originator_id, **args}
    return Task(name=name, args={key: str(value) for key, value in given.items()}, run_at=run_at)


def _of_deployment(
    name: str, event: events.Event, *, run_at: datetime | None = None, **args: int
) -> Task:
    given = {"deployment_id": event.originator_id, **args}
    return Task(name=name, args={key: str(value) for key, value in given.items()}, run_at=run_at)


def _forget_secrets(event: events.Event, *, run_at: datetime | None = None) -> Task:
    return Task(
        name="forget_deployer_secrets",
        args={"environment_id": str(event.originator_id)},
        run_at=run_at,
    )
