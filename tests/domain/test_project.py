"""Units, environments and members of a project."""

from uuid import uuid4

import pytest

from domain import errors, project, values
from domain.errors import RefusalCode
from tests.domain import histories
from tests.domain.histories import NOW


def created(**units: int) -> project.Project:
    shop = project.Project.create(project_id=uuid4(), name="shop", at=NOW)
    shop.subscribe(units=units, at=NOW)
    return shop


def take(shop: project.Project, offering: str = "postgres") -> object:
    service_instance_id = uuid4()
    shop.take_unit(offering=offering, service_instance_id=service_instance_id, at=NOW)
    return service_instance_id


def test_an_offering_that_is_not_subscribed_is_refused() -> None:
    """R2"""
    shop = created(postgres=1)

    refusal = histories.refusal_of(lambda: take(shop, "elasticsearch"))

    assert isinstance(refusal, errors.QuotaRefusedError)
    assert refusal.code is RefusalCode.NOT_SUBSCRIBED
    assert (refusal.offering, refusal.limit, refusal.used) == ("elasticsearch", 0, 0)


def test_without_a_free_unit_adding_is_refused_with_limit_and_usage() -> None:
    """R2"""
    shop = created(postgres=2)
    take(shop)
    take(shop)

    refusal = histories.refusal_of(lambda: take(shop))

    assert isinstance(refusal, errors.QuotaRefusedError)
    assert refusal.code is RefusalCode.QUOTA_EXCEEDED
    assert (refusal.offering, refusal.limit, refusal.used) == ("postgres", 2, 2)
    assert "2 of 2 units" in refusal.message


def test_free_units_give_exactly_as_many_instances() -> None:
    """R3"""
    shop = created(postgres=3)
    refused = 0

    for _ in range(50):
        try:
            take(shop)
        except errors.QuotaRefusedError:
            refused += 1

    assert shop.used("postgres") == 3
    assert refused == 47


def test_a_unit_is_returned_once() -> None:
    """R3"""
    shop = created(postgres=2)
    first = take(shop)
    take(shop)

    shop.return_unit(service_instance_id=first, at=NOW)
    before = len(shop.pending_events)
    shop.return_unit(service_instance_id=first, at=NOW)
    shop.return_unit(service_instance_id=uuid4(), at=NOW)

    assert len(shop.pending_events) == before
    assert shop.used("postgres") == 1
    take(shop)


def test_units_of_one_offering_are_no_units_of_another() -> None:
    """R2"""
    shop = created(postgres=1, s3=1)
    take(shop, "postgres")

    take(shop, "s3")

    assert (shop.used("postgres"), shop.used("s3")) == (1, 1)


def test_a_subscription_below_the_usage_is_accepted_and_only_adding_is_refused() -> None:
    """R4"""
    shop = created(postgres=3)
    held = [take(shop), take(shop), take(shop)]

    shop.subscribe(units={"postgres": 1}, at=NOW)
    over = histories.refusal_of(lambda: take(shop))
    shop.return_unit(service_instance_id=held[0], at=NOW)
    shop.return_unit(service_instance_id=held[1], at=NOW)
    at_the_limit = histories.refusal_of(lambda: take(shop))
    shop.return_unit(service_instance_id=held[2], at=NOW)
    take(shop)

    assert isinstance(over, errors.QuotaRefusedError)
    assert (over.limit, over.used) == (1, 3)
    assert at_the_limit.code is RefusalCode.QUOTA_EXCEEDED
    assert shop.used("postgres") == 1


def test_a_negative_subscription_is_refused_as_a_whole() -> None:
    shop = created(postgres=1)

    refusal = histories.refusal_of(lambda: shop.subscribe(units={"s3": 4, "postgres": -1}, at=NOW))

    assert refusal.code is RefusalCode.INVALID_INPUT
    assert shop.units == {"postgres": 1}


def test_the_subscription_that_is_there_already_is_no_event() -> None:
    shop = created(postgres=1)
    before = len(shop.pending_events)

    shop.subscribe(units={"postgres": 1, "redis": 0}, at=NOW)

    assert len(shop.pending_events) == before


def test_an_environment_is_refused_with_the_numbers_of_the_project() -> None:
    """R2, R4"""
    shop = created(postgres=2)
    take(shop)
    take(shop)
    wanted = {"environment_id": uuid4(), "name": "review", "granted": ("s3", "postgres"), "at": NOW}
    shop.subscribe(units={"postgres": 1}, at=NOW)
    before = len(shop.pending_events)

    refusal = histories.refusal_of(lambda: shop.list_environment(**wanted))
    has_left_no_trace = len(shop.pending_events) == before
    shop.subscribe(units={"postgres": 2}, at=NOW)
    shop.list_environment(**wanted)
    take(shop)

    assert isinstance(refusal, errors.QuotaRefusedError)
    assert refusal.code is RefusalCode.QUOTA_EXCEEDED
    assert (refusal.offering, refusal.limit, refusal.used) == ("postgres", 1, 2)
    assert "environment review" in refusal.message
    assert "2 of 1 units" in refusal.message
    assert has_left_no_trace
    assert (shop.units["postgres"], shop.used("postgres")) == (3, 3)


def test_an_environment_brings_the_units_of_its_base_services() -> None:
    """R5"""
    shop = created()

    for name in ("test", "live"):
        shop.list_environment(environment_id=uuid4(), name=name, granted=("postgres", "s3"), at=NOW)
        take(shop, "postgres")
        take(shop, "s3")

    assert shop.units == {"postgres": 2, "s3": 2}
    assert histories.refusal_of(lambda: take(shop)).code is RefusalCode.QUOTA_EXCEEDED


def test_a_deleted_environment_takes_its_base_units_with_it() -> None:
    shop = created(postgres=1)
    environment_id = uuid4()
    shop.list_environment(
        environment_id=environment_id, name="test", granted=("postgres", "s3"), at=NOW
    )

    shop.unlist_environment(environment_id=environment_id, withdrawn=("postgres", "s3"), at=NOW)

    assert shop.units == {"postgres": 1, "s3": 0}
    assert shop.environments == {}


def test_units_are_never_negative() -> None:
    shop = created()
    environment_id = uuid4()
    shop.list_environment(environment_id=environment_id, name="test", granted=("s3",), at=NOW)
    shop.subscribe(units={"s3": 0}, at=NOW)

    shop.unlist_environment(environment_id=environment_id, withdrawn=("s3",), at=NOW)

    assert shop.units == {"s3": 0}


def test_environments_of_a_project_have_different_names() -> None:
    shop = created()
    holder = uuid4()
    shop.list_environment(environment_id=holder, name="test", granted=(), at=NOW)

    refusal = histories.refusal_of(
        lambda: shop.list_environment(environment_id=uuid4(), name="test", granted=(), at=NOW)
    )
    shop.unlist_environment(environment_id=holder, withdrawn=(), at=NOW)
    shop.list_environment(environment_id=uuid4(), name="test", granted=(), at=NOW)

    assert isinstance(refusal, errors.TakenRefusedError)
    assert refusal.code is RefusalCode.NAME_TAKEN
    assert refusal.holder_id == holder


@pytest.mark.parametrize("typed", ["shop", " shop ", "a", "eu-shop-2", "x" * 63])
def test_a_name_is_trimmed(typed: str) -> None:
    assert values.name(typed) == typed.strip()


@pytest.mark.parametrize("typed", ["", "Shop", "1shop", "a--b", "-a", "a-", "a_b", "x" * 64, "a/b"])
def test_what_is_no_name_is_refused(typed: str) -> None:
    refusal = histories.refusal_of(lambda: values.name(typed, path="environment"))

    assert isinstance(refusal, errors.InputRefusedError)
    assert refusal.code is RefusalCode.INVALID_INPUT
    assert refusal.problems[0].path == "environment"


def test_members_have_one_role_each() -> None:
    shop = created()
    shop.add_member(subject="ada", role=values.MemberRole.VIEWER, at=NOW)
    shop.add_member(subject="ada", role=values.MemberRole.MANAGER, at=NOW)
    before = len(shop.pending_events)

    shop.add_member(subject="ada", role=values.MemberRole.MANAGER, at=NOW)
    shop.remove_member(subject="bob", at=NOW)

    assert len(shop.pending_events) == before
    assert shop.members == {"ada": values.MemberRole.MANAGER}


@pytest.mark.parametrize("is_demoted", [True, False])
def test_the_last_manager_stays(*, is_demoted: bool) -> None:
    shop = created()
    shop.add_member(subject="ada", role=values.MemberRole.MANAGER, at=NOW)
    shop.add_member(subject="bob", role=values.MemberRole.DEVELOPER, at=NOW)

    def leave() -> None:
        if is_demoted:
            shop.add_member(subject="ada", role=values.MemberRole.VIEWER, at=NOW)
        else:
            shop.remove_member(subject="ada", at=NOW)

    refusal = histories.refusal_of(leave)
    assert refusal.code is RefusalCode.INVALID_INPUT
    assert "nobody else is a manager" in refusal.message

    shop.add_member(subject="bob", role=values.MemberRole.MANAGER, at=NOW)
    leave()

    assert shop.members["bob"] is values.MemberRole.MANAGER


def test_a_member_who_left_has_no_role() -> None:
    shop = created()
    shop.add_member(subject="ada", role=values.MemberRole.VIEWER, at=NOW)

    shop.remove_member(subject="ada", at=NOW)

    assert shop.members == {}


def test_replaying_the_events_gives_the_same_project() -> None:
    """R43"""
    shop = created(postgres=2)
    shop.list_environment(environment_id=uuid4(), name="test", granted=("s3",), at=NOW)
    shop.add_member(subject="ada", role=values.MemberRole.VIEWER, at=NOW)
    shop.return_unit(service_instance_id=take(shop), at=NOW)
    take(shop, "s3")

    copy: project.Project | None = None
    for event in shop.collect_events():
        copy = event.mutate(copy)

    assert copy is not None
    assert vars(copy) | {"_pending_events": []} == vars(shop) | {"_pending_events": []}
