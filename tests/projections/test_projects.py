from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from domain import events, values
from projections.members import Members
from projections.projection import Key, RecordedEvent, Row
from projections.projects import Projects
from projections.subscriptions import Subscriptions

Record = Callable[..., RecordedEvent]
Fold = Callable[..., dict[Key, Row]]

PROJECT = UUID(int=0xA)
LIVE = UUID(int=0xB)
INSTANCE = UUID(int=0xC)


def test_project_keeps_its_name_and_counts_every_event_as_a_version(
    record: Record, fold: Fold
) -> None:
    history = [
        record(events.ProjectCreated, of=PROJECT, position=1, name="shop"),
        record(
            events.MemberAdded,
            of=PROJECT,
            position=2,
            subject="bob",
            role=values.MemberRole.VIEWER,
        ),
    ]

    rows = fold(Projects(), history)

    assert rows == {
        (PROJECT,): {
            "id": PROJECT,
            "name": "shop",
            "created_at": datetime(2026, 11, 24, 12, 1, tzinfo=UTC),
            "updated_at": datetime(2026, 11, 24, 12, 2, tzinfo=UTC),
            "version": 2,
            "position": 2,
        }
    }


def test_member_with_another_role_is_a_member_since_the_first(record: Record, fold: Fold) -> None:
    history = [
        record(
            events.MemberAdded,
            of=PROJECT,
            position=1,
            subject="bob",
            role=values.MemberRole.VIEWER,
        ),
        record(
            events.MemberAdded,
            of=PROJECT,
            position=2,
            subject="bob",
            role=values.MemberRole.MANAGER,
        ),
    ]

    rows = fold(Members(), history)

    assert rows == {
        (PROJECT, "bob"): {
            "project_id": PROJECT,
            "subject": "bob",
            "role": "MANAGER",
            "added_at": datetime(2026, 11, 24, 12, 1, tzinfo=UTC),
            "position": 2,
        }
    }


def test_person_who_left_is_no_member(record: Record, fold: Fold) -> None:
    history = [
        record(
            events.MemberAdded,
            of=PROJECT,
            position=1,
            subject="bob",
            role=values.MemberRole.VIEWER,
        ),
        record(events.MemberRemoved, of=PROJECT, position=2, subject="bob"),
    ]

    assert fold(Members(), history) == {}


def test_environment_brings_a_unit_of_each_offering_granted(record: Record, fold: Fold) -> None:
    history = [
        record(
            events.EnvironmentListed,
            of=PROJECT,
            position=1,
            environment_id=LIVE,
            name="live",
            granted=("postgres", "s3"),
        ),
        record(
            events.UnitTaken,
            of=PROJECT,
            position=2,
            offering="postgres",
            service_instance_id=INSTANCE,
        ),
    ]

    rows = fold(Subscriptions(), history)

    assert rows == {
        (PROJECT, "postgres"): {
            "project_id": PROJECT,
            "offering": "postgres",
            "units": 1,
            "used": 1,
            "position": 2,
        },
        (PROJECT, "s3"): {
            "project_id": PROJECT,
            "offering": "s3",
            "units": 1,
            "used": 0,
            "position": 1,
        },
    }


def test_changed_subscription_says_how_many_units_in_all(record: Record, fold: Fold) -> None:
    history = [
        record(
            events.EnvironmentListed,
            of=PROJECT,
            position=1,
            environment_id=LIVE,
            name="live",
            granted=("postgres",),
        ),
        record(events.SubscriptionChanged, of=PROJECT, position=2, offering="postgres", units=5),
    ]

    assert fold(Subscriptions(), history)[PROJECT, "postgres"]["units"] == 5


def test_deleted_environment_takes_its_units_along_but_never_more_than_there_are(
    record: Record, fold: Fold
) -> None:
    history = [
        record(events.SubscriptionChanged, of=PROJECT, position=1, offering="postgres", units=2),
        record(
            events.EnvironmentUnlisted,
            of=PROJECT,
            position=2,
            environment_id=LIVE,
            withdrawn=("postgres", "s3"),
        ),
    ]

    rows = fold(Subscriptions(), history)

    assert rows[PROJECT, "postgres"]["units"] == 1
    assert rows[PROJECT, "s3"]["units"] == 0


def test_removed_instance_returns_its_unit(record: Record, fold: Fold) -> None:
    history = [
        record(
            events.UnitTaken,
            of=PROJECT,
            position=1,
            offering="redis",
            service_instance_id=INSTANCE,
        ),
        record(
            events.UnitReturned,
            of=PROJECT,
            position=2,
            offering="redis",
            service_instance_id=INSTANCE,
        ),
    ]

    assert fold(Subscriptions(), history)[PROJECT, "redis"]["used"] == 0
