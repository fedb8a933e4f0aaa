"""What follows from the events of whole histories."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from app.eventlog.task import Task
from app.work import policies
from domain import events, values
from domain.service_instance import ServiceInstance
from projections.projection import RecordedEvent
from tests.domain import histories
from tests.domain.histories import DEADLINE, NOW

HISTORIES = [
    histories.new,
    histories.provisioning,
    histories.new_failed,
    histories.attached,
    histories.removing,
    histories.removal_failed,
    histories.removed,
    histories.removed_unsent,
]
_STARTS = (
    events.ServiceProvisioningStarted,
    events.ServiceUpdateStarted,
    events.ServiceRotationStarted,
    events.ServiceRemovalStarted,
)


def tasks_of(instance: ServiceInstance) -> list[Task]:
    return [
        task
        for position, event in enumerate(instance.pending_events)
        for task in policies.tasks_for(
            RecordedEvent(
                position=position,
                event=event,
                event_id=uuid.uuid4(),
                command_id=uuid.uuid4(),
                actor="admin",
                correlation_id=uuid.uuid4(),
                causation_id=None,
                reason=None,
                recorded_at=NOW,
            )
        )
    ]


def delay(instance: ServiceInstance) -> None:
    operation = histories.current_operation(instance)
    instance.record_delay(
        operation_id=operation.id,
        attempt=operation.attempt,
        code="UNREACHABLE",
        message="Nobody answers.",
        next_attempt_at=NOW + timedelta(seconds=10),
        at=NOW,
    )


@pytest.mark.parametrize("history", HISTORIES)
def test_each_operation_is_asked_for_once_and_ends_at_its_deadline(
    history: Callable[[], ServiceInstance],
) -> None:
    instance = history()
    started = {
        str(event.operation_id): event.deadline
        for event in instance.pending_events
        if isinstance(event, _STARTS)
    }

    tasks = tasks_of(instance)

    performed = [task.args["operation_id"] for task in tasks if task.name == "perform_operation"]
    expired = {
        task.args["operation_id"]: task.run_at for task in tasks if task.name == "expire_operation"
    }
    assert sorted(performed) == sorted(started)
    assert expired == started
    assert set(expired.values()) <= {DEADLINE}


def test_an_attempt_that_was_put_off_is_made_once_at_its_time() -> None:
    instance = histories.provisioning()
    for _ in range(3):
        delay(instance)

    tasks = [task for task in tasks_of(instance) if task.name == "perform_operation"]

    assert [task.args["attempt"] for task in tasks] == ["1", "2", "3", "4"]
    assert len({task.args["operation_id"] for task in tasks}) == 1
    later = NOW + timedelta(seconds=10)
    assert [task.run_at for task in tasks] == [None, later, later, later]


@pytest.mark.parametrize(
    ("is_exposed", "names"),
    [(False, ["revoke_unused"]), (True, ["revoke_unused", "renew_credentials"])],
)
def test_the_end_of_a_deployment_without_success_revokes_what_it_kept(
    is_exposed: bool,  # noqa: FBT001  a row of the table
    names: list[str],
) -> None:
    """R36"""
    instance = histories.pending_attachment()
    before = len(tasks_of(instance))
    deployment_id = histories.join(instance, values.DeploymentRole.ATTACH)

    histories.leave(instance, deployment_id, is_exposed=is_exposed)

    assert [task.name for task in tasks_of(instance)[before:]] == names


def test_a_renewal_that_failed_is_made_again_at_its_time() -> None:
    """R36"""
    instance = histories.detached_by_a_deployment()
    for _ in range(2):
        histories.rotate(instance)
        histories.report_failure(instance)

    tasks = [task for task in tasks_of(instance) if task.name == "renew_credentials"]

    assert [task.run_at for task in tasks] == [
        None,
        NOW + timedelta(seconds=10),
        NOW + timedelta(seconds=20),
    ]


def test_a_rotation_that_somebody_asked_for_is_not_made_again() -> None:
    instance = histories.attached()
    histories.rotate(instance)
    histories.report_failure(instance)

    assert "renew_credentials" not in [task.name for task in tasks_of(instance)]


def test_a_renewal_that_met_a_removal_is_made_once_that_is_called_off() -> None:
    instance = histories.detached_by_a_deployment()
    histories.remove(instance, grace=histories.GRACE)
    before = len(tasks_of(instance))

    instance.cancel_removal(at=NOW)

    assert [task.name for task in tasks_of(instance)[before:]] == ["renew_credentials"]
