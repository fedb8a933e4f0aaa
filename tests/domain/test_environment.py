"""Prefixes, variable names and deployments of an environment."""

import itertools
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain import environment, errors, values
from domain.errors import RefusalCode
from domain.values import DeploymentStatus, ServiceKind
from tests.domain import estate, histories
from tests.domain.histories import NOW


def created() -> environment.Environment:
    return environment.Environment.create(
        environment_id=uuid4(), project_id=uuid4(), name="test", protected=False, at=NOW
    )


def take(
    place: environment.Environment,
    prefix: str,
    kind: ServiceKind = ServiceKind.DATABASE,
    *,
    names: tuple[str, ...] | None = None,
    holder: object = None,
) -> object:
    holder = holder or uuid4()
    place.take_prefix(
        service_instance_id=holder,
        kind=kind,
        prefix=prefix,
        variable_names=names or histories.names_for(prefix, kind),
        at=NOW,
    )
    return holder


# Prefixes


@pytest.mark.parametrize(
    ("typed", "prefix"),
    [
        ("DEFAULT", "DEFAULT"),
        ("  reports ", "REPORTS"),
        ("reports_2025", "REPORTS_2025"),
        ("a", "A"),
        ("a1_2b", "A1_2B"),
        ("x" * 32, "X" * 32),
    ],
)
def test_a_prefix_is_trimmed_and_in_upper_case(typed: str, prefix: str) -> None:
    """R8"""
    assert values.prefix(typed) == prefix


@pytest.mark.parametrize(
    "typed",
    ["", "  ", "1A", "_A", "A_", "A__B", "A-B", "A B", "A.B", "Ä", "A\nB", "A\x00", "x" * 33, "🐘"],
)
def test_what_is_no_prefix_is_refused(typed: str) -> None:
    """R8"""
    refusal = histories.refusal_of(lambda: values.prefix(typed))

    assert isinstance(refusal, errors.InputRefusedError)
    assert refusal.code is RefusalCode.PREFIX_INVALID
    assert refusal.problems[0].path == "prefix"


def test_a_prefix_is_held_once_for_each_kind() -> None:
    """R7, R8: postgres DEFAULT and s3 DEFAULT coexist, postgres and mysql DEFAULT do not"""
    place = created()
    postgres = take(place, "DEFAULT")
    take(place, "DEFAULT", ServiceKind.STORAGE)

    refusal = histories.refusal_of(lambda: take(place, "DEFAULT"))
    take(place, "REPORTS")

    assert isinstance(refusal, errors.TakenRefusedError)
    assert refusal.code is RefusalCode.PREFIX_TAKEN
    assert refusal.holder_id == postgres
    assert "test/DEFAULT_DATABASE holds it" in refusal.message
    assert len(place.holdings) == 3


def test_two_instances_never_have_the_same_variable() -> None:
    """R9, aliases included"""
    place = created()
    holder = take(place, "A", names=("A_DSN", "SHARED"))

    refusal = histories.refusal_of(
        lambda: take(place, "B", ServiceKind.CACHE, names=("B_URL", "SHARED"))
    )

    assert isinstance(refusal, errors.TakenRefusedError)
    assert refusal.code is RefusalCode.VARIABLE_NAME_TAKEN
    assert refusal.holder_id == holder
    assert "SHARED" in refusal.message


def test_no_kind_shares_a_variable_with_another_under_one_prefix() -> None:
    """R9: the templates of section 4"""
    for prefix in ("DEFAULT", "REPORTS"):
        names = [histories.names_for(prefix, kind) for kind in ServiceKind]
        assert len(set(itertools.chain(*names))) == sum(map(len, names))


def test_taking_the_prefix_that_it_holds_is_no_event() -> None:
    place = created()
    holder = take(place, "DEFAULT")
    before = len(place.pending_events)

    take(place, "DEFAULT", holder=holder)

    assert len(place.pending_events) == before


def test_a_renamed_instance_frees_its_old_prefix_for_another() -> None:
    """R10"""
    place = created()
    old, successor = take(place, "DEFAULT"), take(place, "NEXT")

    take(place, "OLD", holder=old)
    take(place, "DEFAULT", holder=successor)

    assert place.holdings[old].prefix == "OLD"
    assert place.holdings[successor].prefix == "DEFAULT"


def test_a_swap_in_the_wrong_order_is_refused_and_changes_nothing() -> None:
    """R8: nothing is renamed automatically"""
    place = created()
    old, successor = take(place, "DEFAULT"), take(place, "NEXT")
    before = dict(place.holdings)

    refusal = histories.refusal_of(lambda: take(place, "DEFAULT", holder=successor))

    assert isinstance(refusal, errors.TakenRefusedError)
    assert refusal.holder_id == old
    assert place.holdings == before


@pytest.mark.parametrize(
    ("row", "is_free"),
    [
        ("new failed", False),
        ("new parked", False),
        ("detached", False),
        ("removing", False),
        ("removal failed", False),
        ("removed", True),
        ("removed unsent", True),
        ("abandoned", True),
    ],
)
def test_only_removed_frees_a_prefix_and_a_unit(row: str, is_free: bool) -> None:  # noqa: FBT001  a row of the table
    """R3, R11"""
    place = estate.Estate(units=1)
    instance = histories.ROWS[row]()
    take(place.environment, "DEFAULT", holder=instance.id)
    place.project.take_unit(offering="postgres", service_instance_id=instance.id, at=NOW)

    place.settle_removed(instance)

    assert (instance.id not in place.environment.holdings) is is_free
    assert place.project.used("postgres") == (0 if is_free else 1)


def test_a_prefix_is_freed_once() -> None:
    place = created()
    holder = take(place, "DEFAULT")
    place.free_prefix(service_instance_id=holder, at=NOW)
    successor = take(place, "DEFAULT")
    before = len(place.pending_events)

    place.free_prefix(service_instance_id=holder, at=NOW)

    assert len(place.pending_events) == before
    assert list(place.holdings) == [successor]


def test_adding_to_one_environment_changes_nothing_in_another() -> None:
    """R6"""
    test, live = created(), created()

    take(test, "DEFAULT")

    assert live.holdings == {}
    take(live, "DEFAULT")


# Deployments


def test_one_deployment_runs_at_a_time_and_the_second_learns_of_the_first() -> None:
    """R31"""
    place = created()
    first = uuid4()
    place.start_deployment(deployment_id=first, at=NOW)

    refusal = histories.refusal_of(lambda: place.start_deployment(deployment_id=uuid4(), at=NOW))

    assert isinstance(refusal, errors.DeploymentRefusedError)
    assert refusal.code is RefusalCode.DEPLOYMENT_IN_PROGRESS
    assert refusal.deployment_id == first
    assert place.running_deployment_id == first


def test_environments_deploy_in_parallel() -> None:
    """R31"""
    test, live = created(), created()

    test.start_deployment(deployment_id=uuid4(), at=NOW)
    number = live.start_deployment(deployment_id=uuid4(), at=NOW)

    assert number == 1


@pytest.mark.parametrize("status", [DeploymentStatus.FAILED, DeploymentStatus.CANCELLED])
def test_a_deployment_without_success_leaves_the_revision(status: DeploymentStatus) -> None:
    """R34"""
    place = created()
    deploy(place, DeploymentStatus.SUCCEEDED, revision=1)

    deploy(place, status, revision=None)

    assert place.revision == 1
    assert place.running_deployment_id is None
    assert place.deployments == 2


def test_only_the_running_deployment_can_end() -> None:
    place = created()
    running = uuid4()
    place.start_deployment(deployment_id=running, at=NOW)

    end(place, uuid4(), DeploymentStatus.SUCCEEDED, revision=9)
    meanwhile = (place.running_deployment_id, place.revision)
    end(place, running, DeploymentStatus.SUCCEEDED, revision=1)
    end(place, running, DeploymentStatus.FAILED, revision=None)

    assert meanwhile == (running, None)
    assert (place.running_deployment_id, place.revision) == (None, 1)


def deploy(
    place: environment.Environment, status: DeploymentStatus, *, revision: int | None
) -> None:
    deployment_id = uuid4()
    place.start_deployment(deployment_id=deployment_id, at=NOW)
    end(place, deployment_id, status, revision=revision)


def end(
    place: environment.Environment,
    deployment_id: object,
    status: DeploymentStatus,
    *,
    revision: int | None,
) -> None:
    place.end_deployment(
        deployment_id=deployment_id,
        status=status,
        revision=revision,
        variables=() if revision else None,
        at=NOW,
    )


def configure(
    place: environment.Environment,
    *,
    settings: dict[str, Any] | None = None,
    secret_id: UUID | None = None,
) -> None:
    place.configure_deployer(
        deployer="external",
        settings=settings or {},
        secret_id=secret_id,
        secret_names=("signingKey",) if secret_id else (),
        at=NOW,
    )


def test_new_secrets_of_the_same_deployer_replace_the_old_ones() -> None:
    place = created()
    old, new = uuid4(), uuid4()
    configure(place, secret_id=old)

    configure(place, secret_id=new)

    assert (place.deployer_secret_id, place.former_secret_ids) == (new, (old,))
    assert place.deployer_secret_names == ("signingKey",)


def test_the_deployer_that_is_set_already_is_no_event() -> None:
    place = created()
    configure(place, settings={"a": 1})
    before = len(place.pending_events)

    configure(place, settings={"a": 1})

    assert len(place.pending_events) == before
    assert (place.deployer, place.deployer_settings) == ("external", {"a": 1})


# The end


def test_an_environment_with_live_services_is_not_deleted() -> None:
    place = created()
    holder = take(place, "DEFAULT")

    refusal = histories.refusal_of(lambda: place.delete(at=NOW))
    place.free_prefix(service_instance_id=holder, at=NOW)
    place.delete(at=NOW)

    assert refusal.code is RefusalCode.ENVIRONMENT_NOT_EMPTY
    assert "test/DEFAULT_DATABASE" in refusal.message
    assert place.is_deleted


def test_an_environment_is_not_deleted_under_a_deployment() -> None:
    place = created()
    place.start_deployment(deployment_id=uuid4(), at=NOW)

    refusal = histories.refusal_of(lambda: place.delete(at=NOW))

    assert refusal.code is RefusalCode.DEPLOYMENT_IN_PROGRESS


def test_replaying_the_events_gives_the_same_environment() -> None:
    """R43"""
    place = created()
    take(place, "DEFAULT")
    take(place, "OLD", holder=take(place, "NEXT"))
    deploy(place, DeploymentStatus.SUCCEEDED, revision=1)
    configure(place, secret_id=uuid4())

    copy: environment.Environment | None = None
    for event in place.collect_events():
        copy = event.mutate(copy)

    assert copy is not None
    assert vars(copy) | {"_pending_events": []} == vars(place) | {"_pending_events": []}
