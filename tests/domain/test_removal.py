"""How a service instance is removed for good, and what guards it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from domain import errors, events
from domain.errors import RefusalCode
from domain.service_instance import ServiceInstance
from tests.domain import histories
from tests.domain.histories import GRACE, NOW

JUST_BEFORE = timedelta(microseconds=-1)


@pytest.mark.parametrize(
    ("row", "way_out"),
    [("attached", "Detach it and deploy first."), ("pending detachment", "Deploy first.")],
)
def test_an_applied_instance_must_be_detached_before_it_is_removed(row: str, way_out: str) -> None:
    """R23"""
    instance = histories.ROWS[row]()

    refusal = histories.refusal_of(lambda: histories.remove(instance))

    assert isinstance(refusal, errors.StateRefusedError)
    assert refusal.code is RefusalCode.MUST_DETACH_FIRST
    assert refusal.state is instance.facts.state
    assert refusal.message.startswith("Cannot remove test/DEFAULT_DATABASE: ")
    assert refusal.message.endswith(f". {way_out}")


def test_an_instance_that_no_provider_knows_is_removed_at_once_without_confirmation() -> None:
    """R24"""
    instance = histories.added(protected=True)

    news = histories.news(instance, lambda: histories.remove(instance, confirmation=None))

    assert news == ["ServiceRemoved"]
    assert instance.facts.state.value == "REMOVED"


def test_an_instance_that_no_provider_knows_is_removed_without_a_grace_period() -> None:
    """R24"""
    instance = histories.new()

    histories.remove(instance, grace=GRACE)

    assert instance.facts.state.value == "REMOVED"


DESTRUCTIVE_ROWS = ["new failed", "provisioning", "pending attachment", "detached"]


@pytest.mark.parametrize("typed", [None, "", "DEFAULT_DATABASE", "test/default_database", "yes"])
@pytest.mark.parametrize("row", DESTRUCTIVE_ROWS)
def test_removal_wants_the_name_of_the_instance_typed(row: str, typed: str | None) -> None:
    """R25"""
    instance = histories.ROWS[row]()

    refusal = histories.refusal_of(lambda: histories.remove(instance, confirmation=typed))

    assert isinstance(refusal, errors.ConfirmationRefusedError)
    assert refusal.code is RefusalCode.CONFIRMATION_REQUIRED
    assert refusal.expected == "test/DEFAULT_DATABASE"
    assert refusal.expected in refusal.message


@pytest.mark.parametrize("row", DESTRUCTIVE_ROWS)
def test_a_protected_instance_is_not_removed_even_with_confirmation(row: str) -> None:
    """R25"""
    instance = histories.ROWS[row]()
    instance.change_protection(protected=True, at=NOW)

    refusal = histories.refusal_of(lambda: histories.remove(instance))
    instance.change_protection(protected=False, at=NOW)
    histories.remove(instance)

    assert refusal.code is RefusalCode.DELETION_PROTECTED
    assert instance.facts.removal_requested


def test_the_confirmation_follows_a_new_prefix() -> None:
    """R25"""
    instance = histories.detached()
    histories.rename(instance, "OLD")

    refusal = histories.refusal_of(
        lambda: histories.remove(instance, confirmation="test/DEFAULT_DATABASE")
    )
    histories.remove(instance, confirmation="test/OLD_DATABASE")

    assert refusal.code is RefusalCode.CONFIRMATION_REQUIRED
    assert instance.facts.removal_requested


def test_a_failed_removal_is_tried_again_without_another_confirmation() -> None:
    """R26"""
    instance = histories.removal_failed()

    histories.remove(instance, confirmation=None)

    operation = histories.current_operation(instance)
    assert operation.is_in_progress
    assert operation.attempt == 2


def test_an_accepted_removal_ends_only_when_the_provider_confirms() -> None:
    """R26"""
    instance = histories.removing()

    during = instance.facts.state.value
    histories.report_gone(instance)

    assert during == "DETACHED"
    assert instance.facts.state.value == "REMOVED"


def test_a_removal_waits_for_its_grace_period_and_starts_at_its_end() -> None:
    """R26"""
    instance = histories.removal_scheduled()
    end = NOW + GRACE

    early = histories.news(
        instance, lambda: histories.start_scheduled_removal(instance, at=end + JUST_BEFORE)
    )
    punctual = histories.news(instance, lambda: histories.start_scheduled_removal(instance, at=end))

    assert early == []
    assert punctual == ["ServiceRemovalStarted"]
    assert instance.facts.removal_scheduled_for is None


@pytest.mark.parametrize("make", [histories.detached, histories.pending_attachment])
def test_a_removal_can_be_cancelled_until_its_grace_period_ends(
    make: Callable[[], ServiceInstance],
) -> None:
    """R26"""
    instance = make()
    before = instance.facts.state
    histories.remove(instance, grace=GRACE)

    instance.cancel_removal(at=NOW + GRACE + JUST_BEFORE)

    assert not instance.facts.removal_requested
    assert instance.facts.is_functional
    assert instance.facts.state is before


def test_a_removal_cannot_be_cancelled_once_its_grace_period_is_over() -> None:
    """R26: the clock decides, not how soon somebody looks at it"""
    instance = histories.removal_scheduled()

    refusal = histories.refusal_of(lambda: instance.cancel_removal(at=NOW + GRACE))

    assert refusal.code is RefusalCode.NOTHING_TO_CANCEL
    assert instance.facts.removal_requested


def test_a_grace_period_that_ends_during_provisioning_cannot_be_cancelled_afterwards() -> None:
    """R26, R27"""
    instance = histories.provisioning()
    histories.remove(instance, grace=timedelta(minutes=5))
    over = NOW + timedelta(minutes=5)
    started = histories.news(instance, lambda: histories.start_scheduled_removal(instance, at=over))

    refusal = histories.refusal_of(lambda: instance.cancel_removal(at=over))
    settled = histories.news(instance, lambda: histories.report_provisioned(instance, at=over))

    assert started == []
    assert refusal.code is RefusalCode.NOTHING_TO_CANCEL
    assert settled == ["ServiceProvisioned", "ServiceRemovalStarted"]


def test_a_removal_that_waits_for_provisioning_only_cannot_be_cancelled() -> None:
    """R26: without a grace period it is a one-way door"""
    instance = histories.removal_pending()

    refusal = histories.refusal_of(lambda: instance.cancel_removal(at=NOW))

    assert refusal.code is RefusalCode.NOTHING_TO_CANCEL


def test_a_plan_asked_for_during_provisioning_survives_a_removal_that_is_cancelled() -> None:
    instance = histories.provisioning()
    histories.configure(instance, plan="large")
    histories.remove(instance, grace=GRACE)
    histories.report_provisioned(instance)

    instance.cancel_removal(at=NOW)
    operation = instance.facts.operation
    if operation:
        instance.record_updated(operation_id=operation.id, at=NOW)

    assert instance.facts.plan == "large"
    assert instance.facts.next_plan is None


def test_an_instance_removed_while_a_plan_is_pending_is_not_updated_first() -> None:
    """R27"""
    instance = histories.provisioning()
    histories.configure(instance, plan="large")
    histories.remove(instance)

    news = histories.news(instance, lambda: histories.report_provisioned(instance))

    assert news == ["ServiceProvisioned", "ServiceRemovalStarted"]
    assert instance.facts.next_plan is None


@pytest.mark.parametrize(
    ("row", "code"),
    [("removing", RefusalCode.REMOVAL_IN_PROGRESS), ("removed", RefusalCode.SERVICE_REMOVED)],
)
def test_the_way_out_of_a_removal_is_a_new_service(row: str, code: RefusalCode) -> None:
    """R15, R26"""
    instance = histories.ROWS[row]()

    refusal = histories.refusal_of(lambda: instance.request_attachment(at=NOW))

    assert refusal.code is code
    assert refusal.message.endswith("Add a new service instead.")


def test_only_a_failed_removal_can_be_abandoned_with_a_reason() -> None:
    """R28"""
    instance = histories.removal_failed()

    instance.abandon(reason="The data centre is gone.", at=NOW)

    assert instance.facts.state.value == "REMOVED"
    assert instance.facts.abandoned
    abandoned = instance.pending_events[-1]
    assert isinstance(abandoned, events.ServiceAbandoned)
    assert abandoned.reason == "The data centre is gone."


def test_a_removed_instance_stays_readable() -> None:
    """R15"""
    instance = histories.removed()

    assert instance.facts.label == "test/DEFAULT_DATABASE"
    assert instance.facts == histories.replayed(instance)
    assert not instance.facts.abandoned
