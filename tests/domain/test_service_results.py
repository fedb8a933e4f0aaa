"""What an instance makes of a provider's answers, and of the time that passes."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from domain import values
from domain.errors import RefusalCode
from domain.service_instance import ServiceInstance
from tests.domain import histories
from tests.domain.histories import DEADLINE, GRACE, NOW


def test_a_late_success_is_adopted_while_the_instance_is_new() -> None:
    """R42"""
    instance = histories.provisioning()
    operation_id = histories.current_operation(instance).id
    histories.expire(instance)

    histories.report_provisioned(instance, operation_id=operation_id, at=DEADLINE)

    assert instance.facts.state.value == "PENDING_ATTACHMENT"
    assert instance.facts.operation is None
    assert instance.pending_events[-1].is_late


def test_a_late_success_of_another_plan_is_updated_to_the_wanted_one() -> None:
    """R42"""
    instance = histories.new()
    operation_id = histories.provision(instance)
    histories.expire(instance)
    histories.configure(instance, plan="large")

    histories.report_provisioned(instance, operation_id=operation_id, at=DEADLINE)

    assert (instance.facts.plan, instance.facts.next_plan) == ("small", "large")
    assert instance.facts.operation is not None
    assert instance.facts.operation.kind is values.OperationKind.UPDATE


def test_a_late_success_of_an_earlier_attempt_leaves_the_running_one_alone() -> None:
    """R42"""
    instance = histories.provisioning()
    first_operation_id = histories.current_operation(instance).id
    histories.report_failure(instance)
    second_operation_id = histories.provision(instance)

    news = histories.news(
        instance, lambda: histories.report_provisioned(instance, operation_id=first_operation_id)
    )

    assert news == ["ServiceResultIgnored"]
    assert histories.current_operation(instance).id == second_operation_id


def test_removal_always_deprovisions_once_a_request_was_sent() -> None:
    """R41"""
    instance = histories.new_failed()

    histories.remove(instance)

    assert histories.current_operation(instance).kind is values.OperationKind.REMOVE
    assert instance.facts.state.value == "NEW"


def test_a_late_success_never_resurrects_an_instance_under_removal() -> None:
    """R41"""
    instance = histories.new_failed()
    operation_id = histories.current_operation(instance).id
    histories.remove(instance)
    histories.report_failure(instance)
    before = instance.facts

    news = histories.news(
        instance, lambda: histories.report_provisioned(instance, operation_id=operation_id)
    )

    assert news == ["ServiceResultIgnored"]
    assert instance.facts == before


def test_a_late_success_after_removal_starts_a_clean_up() -> None:
    """R41"""
    instance = histories.removed()

    news = histories.news(
        instance, lambda: histories.report_provisioned(instance, operation_id=uuid4())
    )

    assert news == ["ServiceResultIgnored", "ServiceCleanupStarted"]
    assert instance.facts.state.value == "REMOVED"


@pytest.mark.parametrize("end", ["provisioned", "failed", "deadline"])
def test_a_removal_asked_for_during_provisioning_starts_when_it_settles(end: str) -> None:
    """R27"""
    instance = histories.removal_pending()

    next_operation_id = {
        "provisioned": histories.report_provisioned,
        "failed": histories.report_failure,
        "deadline": histories.expire,
    }[end](instance)

    operation = histories.current_operation(instance)
    assert (operation.id, operation.kind) == (next_operation_id, values.OperationKind.REMOVE)
    assert operation.attempt == 1
    assert operation.is_in_progress


def test_a_removal_with_grace_waits_beyond_the_end_of_provisioning() -> None:
    """R26, R27"""
    instance = histories.provisioning()
    histories.remove(instance, grace=GRACE)

    histories.report_provisioned(instance)
    settled = instance.facts
    histories.start_scheduled_removal(instance, at=NOW + GRACE)

    assert (settled.state.value, settled.operation) == ("DETACHED", None)
    assert not settled.is_functional
    assert histories.current_operation(instance).kind is values.OperationKind.REMOVE


def test_a_removal_with_grace_waits_beyond_a_failure_of_provisioning() -> None:
    """R26, R27"""
    instance = histories.provisioning()
    histories.remove(instance, grace=GRACE)

    histories.report_failure(instance)
    refusal = histories.refusal_of(lambda: histories.provision(instance))
    histories.start_scheduled_removal(instance, at=NOW + GRACE)

    assert refusal.code is RefusalCode.REMOVAL_IN_PROGRESS
    assert histories.current_operation(instance).kind is values.OperationKind.REMOVE
    assert instance.facts.state.value == "NEW"


def test_a_failed_removal_is_tried_again_with_growing_delay_up_to_an_hour() -> None:
    """R26"""
    instance = histories.removing()
    delays = []
    at = NOW

    for _ in range(12):
        histories.report_failure(instance, at=at)
        retry_at = histories.current_operation(instance).next_attempt_at
        assert retry_at is not None
        delays.append(retry_at - at)
        early = histories.news(
            instance,
            lambda soon=retry_at - timedelta(microseconds=1): histories.retry_removal(
                instance, at=soon
            ),
        )
        assert early == []
        histories.retry_removal(instance, at=retry_at)
        at = retry_at

    assert delays == sorted(delays)
    assert delays[0] < delays[1]
    assert delays[-1] == timedelta(hours=1)
    assert histories.current_operation(instance).attempt == 13


def exposed_by_a_deployment() -> ServiceInstance:
    """One whose credentials were made for a deployment that failed."""
    instance = histories.provisioning()
    deployment_id = histories.join(instance, values.DeploymentRole.ATTACH)
    histories.report_provisioned(instance)
    histories.leave(instance, deployment_id, is_exposed=True)
    return instance


@pytest.mark.parametrize("history", [histories.detached_by_a_deployment, exposed_by_a_deployment])
def test_a_renewal_that_fails_is_tried_again_with_growing_delay_up_to_an_hour(
    history: Callable[[], ServiceInstance],
) -> None:
    """R36"""
    instance = history()
    delays = []

    for _ in range(12):
        histories.rotate(instance)
        histories.report_failure(instance)
        retry_at = histories.current_operation(instance).next_attempt_at
        assert retry_at is not None
        delays.append(retry_at - NOW)
    histories.rotate(instance)
    histories.report_rotated(instance, version=2)
    histories.rotate(instance)
    histories.report_failure(instance)

    assert delays == sorted(delays)
    assert delays[0] < delays[1]
    assert delays[-1] == timedelta(hours=1)
    assert histories.current_operation(instance).next_attempt_at is None


def attached_again() -> ServiceInstance:
    instance = histories.detached_by_a_deployment()
    instance.request_attachment(at=NOW)
    histories.join(instance, values.DeploymentRole.ATTACH)
    histories.take_effect(instance, values.DeploymentRole.ATTACH)
    return instance


@pytest.mark.parametrize(
    "history",
    [
        histories.pending_attachment,
        histories.detached,
        histories.attached,
        histories.pending_detachment,
        attached_again,
    ],
)
def test_a_rotation_that_somebody_asked_for_is_not_tried_again_by_itself(
    history: Callable[[], ServiceInstance],
) -> None:
    instance = history()

    histories.rotate(instance)
    histories.report_failure(instance)

    assert histories.current_operation(instance).next_attempt_at is None


def test_a_removal_in_progress_is_not_tried_again_at_the_same_time() -> None:
    """R39"""
    instance = histories.removing()

    news = histories.news(
        instance, lambda: histories.retry_removal(instance, at=NOW + timedelta(days=1))
    )

    assert news == []


def test_a_gone_that_comes_after_the_removal_was_given_up_counts() -> None:
    """R26"""
    instance = histories.removing()
    operation_id = histories.current_operation(instance).id
    histories.expire(instance)

    histories.report_gone(instance, operation_id=operation_id)

    assert instance.facts.state.value == "REMOVED"
    assert instance.facts.operation is None


def test_a_gone_that_belongs_to_no_removal_destroys_nothing() -> None:
    """R42"""
    instance = histories.attached()
    before = instance.facts

    news = histories.news(instance, lambda: histories.report_gone(instance, operation_id=uuid4()))

    assert news == ["ServiceResultIgnored"]
    assert instance.facts == before


@pytest.mark.parametrize(
    ("row", "event"),
    [
        ("provisioning", "ServiceProvisioningFailed"),
        ("provisioning parked", "ServiceProvisioningFailed"),
        ("removing", "ServiceRemovalFailed"),
    ],
)
def test_no_operation_is_in_progress_past_its_deadline(row: str, event: str) -> None:
    """R40"""
    instance = histories.ROWS[row]()

    news = histories.news(instance, lambda: histories.expire(instance, at=DEADLINE))

    assert news == [event]
    assert not histories.current_operation(instance).is_in_progress


@pytest.mark.parametrize(
    ("start", "event"),
    [
        (histories.configure, "ServiceUpdateFailed"),
        (histories.rotate, "ServiceRotationFailed"),
    ],
)
def test_an_update_or_rotation_past_its_deadline_leaves_the_service_attached(
    start: object, event: str
) -> None:
    """R40"""
    instance = histories.attached()
    assert callable(start)
    start(instance)

    news = histories.news(instance, lambda: histories.expire(instance, at=DEADLINE))

    assert news == [event]
    assert instance.facts.state.value == "ATTACHED"
    assert instance.facts.secret_versions == (1,)


def test_a_deadline_of_an_earlier_operation_does_not_end_the_present_one() -> None:
    instance = histories.provisioning()
    earlier = histories.current_operation(instance).id
    histories.report_failure(instance)
    histories.provision(instance)

    news = histories.news(
        instance, lambda: histories.expire(instance, operation_id=earlier, at=DEADLINE)
    )

    assert news == []
    assert histories.current_operation(instance).is_in_progress


def test_a_delay_counts_the_attempt_and_keeps_the_deadline() -> None:
    instance = histories.provisioning()
    operation = histories.current_operation(instance)

    instance.record_delay(
        operation_id=operation.id,
        attempt=1,
        code="UNREACHABLE",
        message="Nobody answers.",
        next_attempt_at=NOW + timedelta(seconds=10),
        at=NOW,
    )

    delayed = histories.current_operation(instance)
    assert (delayed.attempt, delayed.error_code) == (2, "UNREACHABLE")
    assert delayed.next_attempt_at == NOW + timedelta(seconds=10)
    assert (delayed.is_in_progress, delayed.deadline) == (True, DEADLINE)


def test_a_failure_of_an_attempt_that_another_followed_ends_nothing() -> None:
    """R42: who was given up and wakes does not know how the next one fares."""
    instance = histories.provisioning()
    operation = histories.current_operation(instance)
    instance.record_delay(
        operation_id=operation.id,
        attempt=1,
        code="UNREACHABLE",
        message="Nobody answers.",
        next_attempt_at=NOW,
        at=NOW,
    )

    news = histories.news(instance, lambda: histories.report_failure(instance, attempt=1))

    assert news == ["ServiceResultIgnored"]
    assert histories.current_operation(instance).is_in_progress
    assert histories.current_operation(instance).attempt == 2


@pytest.mark.parametrize("stale", ["attempt", "operation", "ended"])
def test_a_delay_of_an_attempt_that_is_over_changes_nothing(stale: str) -> None:
    instance = histories.provisioning()
    operation = histories.current_operation(instance)

    def delay(attempt: int) -> None:
        instance.record_delay(
            operation_id=uuid4() if stale == "operation" else operation.id,
            attempt=attempt,
            code="UNREACHABLE",
            message="Nobody answers.",
            next_attempt_at=NOW,
            at=NOW,
        )

    if stale == "attempt":
        delay(1)
    if stale == "ended":
        histories.report_failure(instance)
    before = instance.facts

    news = histories.news(instance, lambda: delay(1))

    assert news == []
    assert instance.facts == before


def test_results_of_an_update_and_a_rotation_that_are_over_are_recorded_and_ignored() -> None:
    """R42"""
    instance = histories.attached()
    update_id = histories.configure(instance, plan="large")
    histories.report_failure(instance)
    rotation_id = histories.rotate(instance)
    histories.report_failure(instance)
    before = instance.facts

    def report_late() -> None:
        instance.record_updated(operation_id=update_id, at=NOW)
        histories.report_rotated(instance, operation_id=rotation_id, version=2)

    news = histories.news(instance, report_late)

    assert news == ["ServiceResultIgnored", "ServiceResultIgnored"]
    assert instance.facts == before


def test_a_removal_overtakes_an_update_and_its_result_is_ignored() -> None:
    instance = histories.detached()
    update_id = histories.configure(instance, plan="large")

    histories.remove(instance)
    news = histories.news(instance, lambda: instance.record_updated(operation_id=update_id, at=NOW))

    assert news == ["ServiceResultIgnored"]
    assert histories.current_operation(instance).kind is values.OperationKind.REMOVE
    assert instance.facts.next_plan is None
