"""What a service instance is configured with: prefix, plan, protection, credentials."""

import pytest

from domain import events, values
from domain.errors import RefusalCode
from tests.domain import histories
from tests.domain.histories import NOW

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
