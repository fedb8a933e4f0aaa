"""A deployment from its start to its end, alone and with its environment."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from domain import deployment, errors, events, values
from domain.deployment import Deployment
from domain.errors import RefusalCode
from domain.values import DeploymentStatus, DeploymentStep
from tests.domain import estate, histories
from tests.domain.histories import NOW


def started(*, deployer: str = "env_file") -> Deployment:
    return Deployment.start(
        deployment_id=uuid4(),
        project_id=uuid4(),
        environment_id=uuid4(),
        environment_name="test",
        number=3,
        items=(),
        plan={},
        deployer=deployer,
        deployer_settings={},
        deadline=NOW + timedelta(hours=1),
        requested_by="somebody",
        at=NOW,
    )


def configured(*, deployer: str = "env_file") -> Deployment:
    found = started(deployer=deployer)
    found.configure(revision=4, variables=(), at=NOW)
    return found


def handed_over(*, deployer: str = "env_file") -> Deployment:
    found = configured(deployer=deployer)
    found.hand_over(at=NOW)
    return found


def succeeded() -> Deployment:
    found = handed_over(deployer=deployment.EXTERNAL_DEPLOYER)
    found.succeed(at=NOW)
    return found


def failed() -> Deployment:
    found = started(deployer=deployment.EXTERNAL_DEPLOYER)
    found.fail(code="PROVISIONING_FAILED", message="No space left.", at=NOW)
    return found


def cancelled() -> Deployment:
    found = handed_over(deployer=deployment.EXTERNAL_DEPLOYER)
    found.cancel(at=NOW)
    return found


def test_a_deployment_goes_through_its_steps_to_success() -> None:
    found = started()
    steps = [found.step]
    found.configure(revision=4, variables=(), at=NOW)
    steps.append(found.step)
    found.hand_over(at=NOW)
    steps.append(found.step)
    found.succeed(at=NOW)
    steps.append(found.step)

    assert steps == [
        DeploymentStep.SERVICES,
        DeploymentStep.CONFIGURE,
        DeploymentStep.RELEASE,
        DeploymentStep.AFTER,
    ]
    assert (found.status, found.revision) == (DeploymentStatus.SUCCEEDED, 4)


@pytest.mark.parametrize(
    ("begin", "step", "is_exposed"),
    [
        (started, DeploymentStep.SERVICES, False),
        (configured, DeploymentStep.CONFIGURE, False),
        (handed_over, DeploymentStep.RELEASE, True),
    ],
)
def test_a_deployment_fails_at_the_step_that_it_reached(
    begin: Callable[[], Deployment],
    step: DeploymentStep,
    is_exposed: bool,  # noqa: FBT001  a row of the table
) -> None:
    """R33: also, only a deployer that got the credentials knows them"""
    found = begin()

    found.fail(code="BROKEN", message="It broke.", at=NOW)

    failure = found.pending_events[-1]
    assert isinstance(failure, events.DeploymentFailed)
    assert (failure.step, failure.code, failure.message) == (step, "BROKEN", "It broke.")
    assert (found.status, found.is_exposed) == (DeploymentStatus.FAILED, is_exposed)


@pytest.mark.parametrize("begin", [started, configured, handed_over])
def test_a_deployment_can_be_cancelled_until_the_switch_over(
    begin: Callable[[], Deployment],
) -> None:
    """R38"""
    found = begin()

    found.cancel(at=NOW)

    assert found.status is DeploymentStatus.CANCELLED


@pytest.mark.parametrize("end", [succeeded, failed, cancelled])
def test_a_deployment_that_ended_cannot_be_cancelled(end: Callable[[], Deployment]) -> None:
    """R38"""
    found = end()

    refusal = histories.refusal_of(lambda: found.cancel(at=NOW))

    assert refusal.code is RefusalCode.TOO_LATE_TO_CANCEL
    assert found.status.value in refusal.message


AFTER_THE_END: dict[str, Callable[[Deployment], object]] = {
    "configure": lambda found: found.configure(revision=5, variables=(), at=NOW),
    "hand over": lambda found: found.hand_over(at=NOW),
    "succeed": lambda found: found.succeed(at=NOW),
    "fail": lambda found: found.fail(code="LATE", message="Late.", at=NOW),
    "report": lambda found: found.check_report(),
}


@pytest.mark.parametrize("late", AFTER_THE_END)
@pytest.mark.parametrize("end", [succeeded, failed, cancelled])
def test_a_deployment_ends_once(end: Callable[[], Deployment], late: str) -> None:
    """R35, R38: nothing that comes late changes how it ended"""
    found = end()
    status, version = found.status, found.version

    refusal = histories.refusal_of(lambda: AFTER_THE_END[late](found))

    assert isinstance(refusal, errors.DeploymentRefusedError)
    assert refusal.code is RefusalCode.NO_DEPLOYMENT_IN_PROGRESS
    assert refusal.deployment_id == found.id
    assert (found.status, found.version) == (status, version)


def test_only_an_external_deployment_at_release_waits_for_a_report() -> None:
    own = histories.refusal_of(handed_over().check_report)
    early = histories.refusal_of(started(deployer=deployment.EXTERNAL_DEPLOYER).check_report)

    handed_over(deployer=deployment.EXTERNAL_DEPLOYER).check_report()

    assert (own.code, early.code) == (RefusalCode.NOT_READY, RefusalCode.NOT_READY)
    assert "env_file" in own.message
    assert "SERVICES" in early.message


def test_replaying_the_events_gives_the_same_deployment() -> None:
    """R43"""
    found = succeeded()

    copy: Deployment | None = None
    for event in found.collect_events():
        copy = event.mutate(copy)

    assert copy is not None
    assert vars(copy) | {"_pending_events": []} == vars(found) | {"_pending_events": []}


# With its environment


def test_a_deployment_attaches_every_wanted_instance_and_no_other() -> None:
    """R17"""
    place = estate.Estate()
    wanted, parked = place.add("DEFAULT"), place.add("PARKED")
    parked.request_detachment(at=NOW)

    found = place.deploy()

    assert wanted.facts.state.value == "ATTACHED"
    assert parked.facts.state.value == "NEW"
    assert {variable.name for variable in found.variables} == {
        "DEFAULT_DATABASE_DSN",
        "DATABASE_URL",
    }
    assert {v.name: (v.service_instance_id, v.secret_version) for v in found.variables} == (
        place.running_variables()
    )


def test_what_a_deployment_does_equals_its_plan() -> None:
    """R29"""
    place = estate.Estate()
    leaving = place.add_attached("DEFAULT")
    renamed = place.add_attached("REPORTS")
    place.add("FRESH")
    leaving.request_detachment(at=NOW)
    place.rename(renamed, "ARCHIVE")
    before = place.running_variables()
    plan = place.plan()

    place.deploy()

    after = place.running_variables()
    assert sorted(after.keys() - before.keys()) == list(plan.variables_added)
    assert sorted(before.keys() - after.keys()) == list(plan.variables_removed)
    assert [action.kind.value for action in place.plan().actions] == ["KEEP", "KEEP"]


def test_an_empty_plan_is_a_valid_deployment() -> None:
    """R31"""
    place = estate.Estate()

    found = place.deploy()

    assert found.status is DeploymentStatus.SUCCEEDED
    assert place.environment.revision == 1


def test_a_provisioning_failure_attaches_and_detaches_nothing() -> None:
    """R33"""
    place = estate.Estate()
    leaving = place.add_attached("DEFAULT")
    leaving.request_detachment(at=NOW)
    ready, broken = place.add("READY"), place.add("BROKEN")
    found = place.start_deployment()
    histories.report_provisioned(ready)
    histories.report_failure(broken)

    place.fail(found)

    assert ready.facts.state.value == "PENDING_ATTACHMENT"
    assert broken.facts.state.value == "NEW"
    assert leaving.facts.state.value == "PENDING_DETACHMENT"
    assert leaving.facts.is_usable


@pytest.mark.parametrize("end", [estate.Estate.fail, estate.Estate.cancel])
def test_a_deployment_without_success_changes_nothing_that_runs(
    end: Callable[[estate.Estate, Deployment], None],
) -> None:
    """R34"""
    place = estate.Estate()
    leaving = place.add_attached("DEFAULT")
    leaving.request_detachment(at=NOW)
    running, revision = place.running_variables(), place.environment.revision

    end(place, place.start_deployment())

    assert place.running_variables() == running
    assert place.environment.revision == revision
    assert leaving.facts.state.value == "PENDING_DETACHMENT"


def test_the_next_deployment_tries_again_and_attaching_cancels() -> None:
    """R34"""
    place = estate.Estate()
    leaving, staying = place.add_attached("DEFAULT"), place.add_attached("REPORTS")
    leaving.request_detachment(at=NOW)
    staying.request_detachment(at=NOW)
    place.fail(place.start_deployment())

    staying.request_attachment(at=NOW)
    place.deploy()

    assert leaving.facts.state.value == "DETACHED"
    assert staying.facts.state.value == "ATTACHED"


def test_a_deployment_acts_on_what_was_wanted_when_it_started() -> None:
    """R32"""
    place = estate.Estate()
    attached, late = place.add_attached("DEFAULT"), place.add("LATE")
    late.request_detachment(at=NOW)
    found = place.start_deployment()

    attached.request_detachment(at=NOW)
    late.request_attachment(at=NOW)
    place.rename(attached, "OLD")
    place.succeed(found)

    assert attached.facts.state.value == "PENDING_DETACHMENT"
    assert attached.facts.applied_prefix == "DEFAULT"
    assert late.facts.state.value == "NEW"


def test_a_cancelled_deployment_lets_provisioning_settle_on_its_own() -> None:
    place = estate.Estate()
    instance = place.add()
    found = place.start_deployment()

    place.cancel(found)
    during = instance.facts.state.value
    histories.report_provisioned(instance)

    assert during == "PROVISIONING"
    assert instance.facts.state.value == "PENDING_ATTACHMENT"
    assert instance.facts.deployment_id is None


def test_a_deployment_waits_for_a_service_that_is_being_provisioned_already() -> None:
    place = estate.Estate()
    instance = place.add()
    operation_id = histories.provision(instance)

    place.start_deployment()

    assert histories.current_operation(instance).id == operation_id
    assert instance.facts.deployment_role is values.DeploymentRole.ATTACH


def test_a_removal_with_grace_is_left_alone_by_deployments() -> None:
    """R26"""
    place = estate.Estate()
    instance = place.add()
    histories.provision(instance)
    histories.report_provisioned(instance)
    histories.remove(instance, grace=histories.GRACE)

    found = place.deploy()

    assert found.started.items == ()
    assert instance.facts.state.value == "DETACHED"


def test_credentials_of_a_detached_service_are_kept_until_the_deployment_succeeds() -> None:
    place = estate.Estate()
    instance = place.add_attached()
    histories.rotate(instance)
    histories.report_rotated(instance, version=2)
    instance.request_detachment(at=NOW)
    found = place.start_deployment()
    during = instance.facts.unused_secret_versions

    place.succeed(found)

    assert during == ()
    assert instance.facts.unused_secret_versions == (1,)
