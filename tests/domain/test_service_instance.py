"""The rules that a service instance keeps when people ask something of it."""

from datetime import timedelta
from uuid import uuid4

import pytest

from domain import errors, events, values
from domain.errors import RefusalCode
from domain.service_instance import ServiceInstance
from tests.domain import histories
from tests.domain.histories import DEADLINE, GRACE, NOW

JUST_BEFORE = timedelta(microseconds=-1)


# Adding, attaching


def test_adding_provisions_nothing() -> None:
    """R16"""
    instance = histories.added()

    assert [type(event) for event in instance.pending_events] == [events.ServiceAdded]
    assert instance.facts.state.value == "NEW"
    assert instance.facts.wanted
    assert instance.facts.operation is None


def test_provisioning_alone_makes_an_instance_functional_and_its_credentials_revealable() -> None:
    """R18"""
    instance = histories.new()

    histories.provision(instance)
    histories.report_provisioned(instance)
    news = histories.news(instance, lambda: instance.reveal_credentials(reason="Import.", at=NOW))

    assert instance.facts.is_functional
    assert not instance.facts.is_usable
    assert news == ["ServiceCredentialsRevealed"]
    revealed = instance.pending_events[-1]
    assert isinstance(revealed, events.ServiceCredentialsRevealed)
    assert (revealed.secret_version, revealed.reason) == (1, "Import.")


def test_an_instance_is_provisioned_again_with_the_same_id_after_a_failure() -> None:
    instance = histories.new_failed()
    service_instance_id = instance.id

    operation_id = histories.provision(instance)

    operation = histories.current_operation(instance)
    assert instance.id == service_instance_id
    assert (operation.id, operation.attempt, operation.is_in_progress) == (operation_id, 2, True)


def test_provisioning_twice_keeps_the_one_operation() -> None:
    """R39"""
    instance = histories.new()
    operation_id = histories.provision(instance)

    histories.provision(instance)

    assert histories.current_operation(instance).id == operation_id


def test_attaching_a_detached_instance_waits_for_a_deployment() -> None:
    """R19"""
    instance = histories.detached()

    instance.request_attachment(at=NOW)

    assert instance.facts.state.value == "PENDING_ATTACHMENT"
    assert not instance.facts.is_usable


def test_attaching_an_instance_pending_detachment_is_in_effect_at_once() -> None:
    """R19"""
    instance = histories.pending_detachment()
    running = instance.facts.applied_variable_names

    instance.request_attachment(at=NOW)

    assert instance.facts.state.value == "ATTACHED"
    assert instance.facts.applied_variable_names == running


# Detaching


def test_a_detached_request_leaves_the_application_its_variables() -> None:
    """R20"""
    instance = histories.attached()

    instance.request_detachment(at=NOW)

    assert instance.facts.state.value == "PENDING_DETACHMENT"
    assert instance.facts.is_usable
    assert instance.facts.applied_variable_names == ("DEFAULT_DATABASE_DSN", "DATABASE_URL")


def test_detaching_an_instance_that_never_was_applied_is_in_effect_at_once() -> None:
    """R21"""
    instance = histories.pending_attachment()

    instance.request_detachment(at=NOW)

    assert instance.facts.state.value == "DETACHED"


def test_detaching_and_attaching_again_asks_no_provider() -> None:
    """R22"""
    instance = histories.attached()
    before = instance.facts

    def detach_and_attach() -> None:
        instance.request_detachment(at=NOW)
        histories.join(instance, values.DeploymentRole.DETACH)
        histories.take_effect(instance, values.DeploymentRole.DETACH)
        instance.request_attachment(at=NOW)
        histories.join(instance, values.DeploymentRole.ATTACH)
        histories.take_effect(instance, values.DeploymentRole.ATTACH)

    news = histories.news(instance, detach_and_attach)

    assert instance.facts == before
    assert news == [
        "ServiceDetachmentRequested",
        "ServiceDeploymentJoined",
        "ServiceDetached",
        "ServiceAttachmentRequested",
        "ServiceDeploymentJoined",
        "ServiceAttached",
    ]


# Removing


@pytest.mark.parametrize("row", ["attached", "pending detachment"])
def test_an_applied_instance_must_be_detached_before_it_is_removed(row: str) -> None:
    """R23"""
    instance = histories.ROWS[row]()

    refusal = histories.refusal_of(lambda: histories.remove(instance))

    assert isinstance(refusal, errors.StateRefusedError)
    assert refusal.code is RefusalCode.MUST_DETACH_FIRST
    assert refusal.state is instance.facts.state
    assert refusal.message.startswith("Cannot remove test/DEFAULT_DATABASE: ")
    assert refusal.message.endswith("Detach it and deploy first.")


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


def test_a_removal_can_be_cancelled_until_its_grace_period_ends() -> None:
    """R26"""
    instance = histories.removal_scheduled()

    instance.cancel_removal(at=NOW + GRACE + JUST_BEFORE)

    assert not instance.facts.removal_requested
    assert instance.facts.is_functional
    assert instance.facts.state.value == "DETACHED"


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


# Deployments


def test_an_instance_that_a_deployment_attaches_cannot_be_removed_meanwhile() -> None:
    """R32"""
    instance = histories.pending_attachment()
    deployment_id = histories.join(instance, values.DeploymentRole.ATTACH)

    refusal = histories.refusal_of(lambda: histories.remove(instance))
    histories.leave(instance, deployment_id)
    histories.remove(instance)

    assert isinstance(refusal, errors.DeploymentRefusedError)
    assert refusal.code is RefusalCode.DEPLOYMENT_IN_PROGRESS
    assert refusal.deployment_id == deployment_id
    assert instance.facts.removal_requested


def test_an_instance_that_a_deployment_detaches_is_still_applied() -> None:
    """R32: what stands in the way is the attachment, and comes first"""
    instance = histories.pending_detachment()
    histories.join(instance, values.DeploymentRole.DETACH)

    refusal = histories.refusal_of(lambda: histories.remove(instance))

    assert refusal.code is RefusalCode.MUST_DETACH_FIRST


def test_detaching_during_an_attach_counts_for_the_next_deployment() -> None:
    instance = histories.pending_attachment()
    histories.join(instance, values.DeploymentRole.ATTACH)

    instance.request_detachment(at=NOW)
    during = instance.facts.state.value
    histories.take_effect(instance, values.DeploymentRole.ATTACH)

    assert during == "DETACHED"
    assert instance.facts.state.value == "PENDING_DETACHMENT"


@pytest.mark.parametrize(("succeeds", "after"), [(True, "PENDING_ATTACHMENT"), (False, "ATTACHED")])
def test_attaching_during_a_detach_counts_for_the_next_deployment(
    succeeds: bool,  # noqa: FBT001  a row of the table
    after: str,
) -> None:
    instance = histories.pending_detachment()
    deployment_id = histories.join(instance, values.DeploymentRole.DETACH)

    instance.request_attachment(at=NOW)
    during = instance.facts.state.value
    if succeeds:
        histories.take_effect(instance, values.DeploymentRole.DETACH)
    else:
        histories.leave(instance, deployment_id)

    assert during == "ATTACHED"
    assert instance.facts.state.value == after


def test_a_failed_deployment_leaves_a_service_attached_and_says_why_in_its_history() -> None:
    """R34"""
    instance = histories.pending_detachment()
    before = instance.facts
    deployment_id = histories.join(instance, values.DeploymentRole.DETACH)

    histories.leave(instance, deployment_id)

    left = instance.pending_events[-1]
    assert instance.facts == before
    assert instance.facts.is_usable
    assert isinstance(left, events.ServiceDeploymentLeft)
    assert left.reason == "The health check failed."
    assert left.role is values.DeploymentRole.DETACH


def test_another_deployment_cannot_let_an_instance_go() -> None:
    instance = histories.pending_attachment()
    histories.join(instance, values.DeploymentRole.ATTACH)

    news = histories.news(instance, lambda: histories.leave(instance, uuid4()))

    assert news == []


def test_an_instance_that_merely_stays_attached_gets_no_event() -> None:
    instance = histories.attached()

    news = histories.news(instance, lambda: histories.take_effect(instance, None))

    assert news == []


# Prefixes, plans, protection


def test_a_new_prefix_leaves_the_running_variables_alone_until_it_is_deployed() -> None:
    """R10"""
    instance = histories.attached()

    histories.rename(instance, "OLD")
    running = instance.facts.applied_variable_names
    histories.take_effect(instance, None, is_changed=True)

    assert instance.facts.state.value == "ATTACHED"
    assert running == ("DEFAULT_DATABASE_DSN", "DATABASE_URL")
    assert instance.facts.applied_variable_names == ("OLD_DATABASE_DSN",)


def test_a_prefix_renamed_during_a_deployment_counts_for_the_next_one() -> None:
    """R32"""
    instance = histories.pending_attachment()
    deployment_id = histories.join(instance, values.DeploymentRole.ATTACH)
    item = events.SnapshotItem(
        service_instance_id=instance.id,
        role=values.DeploymentRole.ATTACH,
        prefix="DEFAULT",
        variable_names=histories.names_for("DEFAULT"),
        secret_version=1,
        is_changed=False,
    )

    histories.rename(instance, "OLD")
    instance.take_effect(deployment_id=deployment_id, revision=1, item=item, at=NOW)

    assert instance.facts.prefix == "OLD"
    assert instance.facts.applied_prefix == "DEFAULT"
    assert instance.facts.applied_variable_names == histories.names_for("DEFAULT")


def test_renaming_there_and_back_leaves_nothing_to_deploy() -> None:
    instance = histories.attached()
    before = instance.facts

    histories.rename(instance, "OLD")
    histories.rename(instance, "DEFAULT")

    assert instance.facts == before


@pytest.mark.parametrize("row", ["new", "new parked", "new failed"])
def test_configuring_a_new_instance_changes_what_will_be_provisioned(row: str) -> None:
    instance = histories.ROWS[row]()

    histories.configure(instance, plan="large", parameters={"disk": 5})

    assert (instance.facts.plan, instance.facts.parameters) == ("large", {"disk": 5})


def test_a_plan_asked_for_during_provisioning_is_put_into_force_afterwards() -> None:
    instance = histories.provisioning()
    histories.configure(instance, plan="large")
    plan_meanwhile = instance.facts.plan

    next_operation_id = histories.report_provisioned(instance)
    operation = histories.current_operation(instance)
    instance.record_updated(operation_id=next_operation_id, at=NOW)

    assert plan_meanwhile == "small"
    assert (operation.id, operation.kind) == (next_operation_id, values.OperationKind.UPDATE)
    assert instance.facts.plan == "large"


def test_a_plan_asked_for_during_provisioning_that_fails_is_for_the_next_attempt() -> None:
    instance = histories.provisioning()
    histories.configure(instance, plan="large")

    histories.report_failure(instance)

    assert instance.facts.plan == "large"
    assert instance.facts.next_plan is None


def test_a_plan_is_in_force_once_its_update_succeeded() -> None:
    instance = histories.attached()

    operation_id = histories.configure(instance, plan="large")
    plan_meanwhile = instance.facts.plan
    instance.record_updated(operation_id=operation_id, at=NOW)

    assert plan_meanwhile == "small"
    assert instance.facts.plan == "large"
    assert instance.facts.operation is None


def test_a_failed_update_leaves_the_old_plan_in_force() -> None:
    instance = histories.attached()

    histories.configure(instance, plan="large")
    histories.report_failure(instance)

    assert instance.facts.plan == "small"
    assert instance.facts.next_plan is None
    assert instance.facts.state.value == "ATTACHED"
    assert histories.current_operation(instance).status is values.OperationStatus.FAILED


def test_a_plan_whose_update_failed_can_be_asked_for_again() -> None:
    instance = histories.attached()
    histories.configure(instance, plan="large")
    histories.report_failure(instance)

    news = histories.news(instance, lambda: histories.configure(instance, plan="large"))

    assert news == ["ServiceUpdateStarted"]


def test_asking_twice_for_a_plan_is_one_update() -> None:
    instance = histories.attached()
    histories.configure(instance, plan="large")

    news = histories.news(instance, lambda: histories.configure(instance, plan="large"))

    assert news == []


def test_a_service_is_not_updated_and_rotated_at_once() -> None:
    """R39"""
    updating, rotating = histories.attached(), histories.attached()
    histories.configure(updating)
    histories.rotate(rotating)

    rotation = histories.refusal_of(lambda: histories.rotate(updating))
    update = histories.refusal_of(lambda: histories.configure(rotating))
    other_plan = histories.refusal_of(lambda: histories.configure(updating, plan="huge"))

    assert {refusal.code for refusal in (rotation, update, other_plan)} == {RefusalCode.NOT_READY}


def test_protection_that_is_set_already_is_no_event() -> None:
    instance = histories.added(protected=True)

    news = histories.news(instance, lambda: instance.change_protection(protected=True, at=NOW))

    assert news == []


# Credentials


def test_rotated_credentials_of_an_attached_service_wait_for_a_deployment() -> None:
    instance = histories.attached()

    histories.rotate(instance)
    histories.report_rotated(instance, version=2)
    unused_before = instance.facts.unused_secret_versions
    histories.take_effect(instance, None, is_changed=True)

    assert unused_before == ()
    assert instance.facts.applied_secret_version == 2
    assert instance.facts.unused_secret_versions == (1,)


def test_rotated_credentials_of_a_service_nobody_uses_replace_the_old_ones_at_once() -> None:
    instance = histories.detached()

    histories.rotate(instance)
    histories.report_rotated(instance, version=2)
    unused = instance.facts.unused_secret_versions
    instance.record_revoked(secret_version=1, at=NOW)

    assert unused == (1,)
    assert instance.facts.secret_versions == (2,)


def test_rotation_during_a_deployment_revokes_nothing_that_it_may_hand_over() -> None:
    instance = histories.pending_attachment()
    deployment_id = histories.join(instance, values.DeploymentRole.ATTACH)
    item = events.SnapshotItem(
        service_instance_id=instance.id,
        role=values.DeploymentRole.ATTACH,
        prefix="DEFAULT",
        variable_names=histories.names_for("DEFAULT"),
        secret_version=1,
        is_changed=False,
    )

    histories.rotate(instance)
    histories.report_rotated(instance, version=2)
    unused_during = instance.facts.unused_secret_versions
    instance.take_effect(deployment_id=deployment_id, revision=1, item=item, at=NOW)

    assert unused_during == ()
    assert instance.facts.applied_secret_version == 1
    assert instance.facts.unused_secret_versions == ()


def test_a_version_that_the_application_uses_is_never_revoked() -> None:
    instance = histories.attached()
    histories.rotate(instance)
    histories.report_rotated(instance, version=2)

    news = histories.news(instance, lambda: instance.record_revoked(secret_version=1, at=NOW))

    assert news == []
    assert instance.facts.secret_versions == (1, 2)


def test_rotating_twice_is_one_operation() -> None:
    instance = histories.attached()
    histories.rotate(instance)

    news = histories.news(instance, lambda: histories.rotate(instance))

    assert news == []


# Shown to people


def test_failures_are_told_with_code_message_attempt_and_deadline() -> None:
    """R14"""
    instance = histories.new_failed()

    operation = histories.current_operation(instance)
    assert instance.facts.state.value == "NEW"
    assert operation.kind is values.OperationKind.PROVISION
    assert operation.status is values.OperationStatus.FAILED
    assert (operation.error_code, operation.error_message) == ("PROVIDER_ERROR", "No space left.")
    assert (operation.attempt, operation.started_at, operation.deadline) == (1, NOW, DEADLINE)


@pytest.mark.parametrize("row", histories.ROWS)
def test_replaying_the_events_gives_the_same_instance(row: str) -> None:
    """R43"""
    instance = histories.ROWS[row]()

    copy: ServiceInstance | None = None
    for event in instance.collect_events():
        copy = event.mutate(copy)

    assert copy is not None
    assert copy.facts == instance.facts
    assert copy.version == instance.version
