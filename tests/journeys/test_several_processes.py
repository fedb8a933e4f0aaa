"""Several processes over one database are one product."""

import itertools
from collections.abc import Iterator

import pytest

from tests.journeys.client import Api
from tests.journeys.conftest import Launch, beside
from tests.journeys.test_subscriptions import CHANGES, listening


@pytest.fixture
def apis(launch: Launch) -> Iterator[tuple[Api, Api]]:
    first = launch()
    with beside(first) as second:
        yield first, second


def test_what_one_process_answered_every_process_knows(apis: tuple[Api, Api]) -> None:
    first, second = apis
    project = first.project()
    service = first.default(project.test, "DATABASE")

    for here, there in itertools.islice(itertools.cycle([(first, second), (second, first)]), 10):
        mutation = "detachService" if here is first else "attachService"
        answered = here.do(mutation, id=service)["serviceInstance"]
        assert there.service(service) == answered


def test_one_process_tells_what_another_did(apis: tuple[Api, Api]) -> None:
    first, second = apis
    project = first.project()
    service = first.default(project.test, "DATABASE")

    with listening(second, CHANGES, environment=project.test) as stream:
        first.do("detachService", id=service)
        told = next(iter(stream))

    assert told["id"] == service


def test_one_process_finishes_what_another_began(apis: tuple[Api, Api]) -> None:
    first, second = apis
    project = first.deployable_project()
    started = [
        first.do("deploy", environment=place)["deployment"]["id"]
        for place in (project.test, project.live)
    ]

    first.product.kill()

    for deployment in started:
        second.end(deployment)
    assert second.state(second.default(project.live, "DATABASE")) == "ATTACHED"
