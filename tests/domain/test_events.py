"""Guards: no event without a name, a place in the fold and a place in the package."""

import typing
from collections.abc import Iterator

import pytest

from domain import (
    api_token,
    deployment,
    environment,
    events,
    person,
    project,
    service_facts,
    service_fold,
    service_instance,
)

BASES = {"Event", "Created"}
OF_A_SERVICE = typing.get_args(events.ServiceEvent)
AGGREGATES = [
    service_instance.ServiceInstance,
    environment.Environment,
    project.Project,
    deployment.Deployment,
    person.Person,
    api_token.ApiToken,
]
MODULE_OF = {
    project.Project: "domain.events.projects",
    environment.Environment: "domain.events.environments",
    deployment.Deployment: "domain.events.deployments",
    person.Person: "domain.events.people",
    api_token.ApiToken: "domain.events.tokens",
}


def event_classes() -> Iterator[type[events.Event]]:
    """Every class of event that there is, whether anybody thought of it or not."""
    waiting = [events.Event]
    while waiting:
        found = waiting.pop()
        waiting.extend(found.__subclasses__())
        if found.__module__.startswith("domain.events.") and found.__name__ not in BASES:
            yield found


def test_every_event_class_is_exported_under_its_name() -> None:
    for event_class in event_classes():
        assert event_class.__name__ in events.__all__
        assert getattr(events, event_class.__name__) is event_class


def test_every_event_class_has_a_topic_of_its_own() -> None:
    classes = list(event_classes())
    topics = [event_class.__dict__["TOPIC"] for event_class in classes]

    assert len(set(topics)) == len(topics)
    assert dict(zip(topics, classes, strict=True)).items() <= events.all_events().items()


def test_every_event_of_a_service_is_in_its_union() -> None:
    of_the_module = {c for c in event_classes() if c.__module__ == "domain.events.services"}

    assert set(OF_A_SERVICE) == of_the_module


@pytest.mark.parametrize("event_class", OF_A_SERVICE)
def test_the_facts_follow_from_every_event_of_a_service(event_class: type[events.Event]) -> None:
    if event_class is events.ServiceAdded:
        return  # `begin` takes it

    handler = service_fold.evolve.dispatch(event_class)

    assert handler is not service_fold.evolve.dispatch(object)
    assert handler is not service_fold.evolve.dispatch(events.Event)


@pytest.mark.parametrize("aggregate", MODULE_OF)
def test_every_aggregate_takes_its_events_in_and_refuses_others(aggregate: type) -> None:
    own = [c for c in event_classes() if c.__module__ == MODULE_OF[aggregate]]
    source = aggregate.apply.__code__.co_names

    assert own
    assert {c.__name__ for c in own} <= set(source)
    with pytest.raises(TypeError, match="ServiceAttached is no event of"):
        aggregate.apply(object(), events.ServiceAttached.__new__(events.ServiceAttached))


def test_a_service_refuses_the_events_of_others() -> None:
    stranger = events.EnvironmentDeleted.__new__(events.EnvironmentDeleted)
    facts = typing.cast("service_facts.ServiceFacts", type("Facts", (), {"state": "NEW"})())

    with pytest.raises(TypeError, match="EnvironmentDeleted does not follow from NEW"):
        service_fold.evolve(stranger, facts)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_every_aggregate_has_a_topic_and_a_first_event(aggregate: type) -> None:
    assert aggregate.__dict__["TOPIC"] == aggregate.__name__
    assert issubclass(aggregate.Created, events.Created)
    assert aggregate.Event is events.Event
