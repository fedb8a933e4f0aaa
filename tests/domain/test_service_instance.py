"""The rules that a service instance keeps when people ask something of it."""

from uuid import uuid4

import pytest

from domain import errors, events, values
from domain.errors import RefusalCode
from domain.service_instance import ServiceInstance
from tests.domain import histories
from tests.domain.histories import DEADLINE, NOW

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
