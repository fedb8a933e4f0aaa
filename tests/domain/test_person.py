from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain import events, person

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def jane() -> person.Person:
    made = person.Person.appear(person_id=UUID(int=1), subject="jane", at=NOON)
    made.collect_events()
    return made


def test_a_person_is_not_in_the_beta_at_first(jane: person.Person) -> None:
    assert (jane.subject, jane.is_in_beta) == ("jane", False)


def test_joining_and_leaving_again_records_nothing(jane: person.Person) -> None:
    for _ in range(2):
        jane.join_beta(at=NOON)
    assert jane.is_in_beta
    for _ in range(2):
        jane.leave_beta(at=NOON)

    assert not jane.is_in_beta
    assert [type(each) for each in jane.collect_events()] == [events.BetaJoined, events.BetaLeft]


def test_leaving_without_having_joined_records_nothing(jane: person.Person) -> None:
    jane.leave_beta(at=NOON)

    assert list(jane.collect_events()) == []


def test_each_erasure_is_recorded(jane: person.Person) -> None:
    jane.join_beta(at=NOON)
    for _ in range(2):
        jane.erase(at=NOON)

    assert jane.is_in_beta
    _, first, second = jane.collect_events()
    assert isinstance(first, events.PersonErased)
    assert isinstance(second, events.PersonErased)
    assert first.subject == second.subject == "jane"


def test_a_subject_always_names_the_same_person() -> None:
    assert person.identify("jane") == person.identify("jane") != person.identify("joan")
