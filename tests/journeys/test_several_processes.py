"""Several processes over one database are one product."""

import contextlib
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.client import Api
from tests.journeys.conftest import Launch, beside, serving
from tests.journeys.product import Product
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


def test_a_process_in_a_place_of_its_own_says_how_to_get_a_token(
    launch: Launch, directory: Path
) -> None:
    first = launch().product
    own = {
        "SERVICEBOOK_DATA_DIRECTORY": str(directory),
        "SERVICEBOOK_KEYRING": str(first.directory / "keyring.json"),
        "SERVICEBOOK_AUDIT_KEY": str(first.directory / "audit_key.pem"),
    }
    with serving(
        Product(directory=directory, dsn=first.dsn, settings=first.environment | own)
    ) as api:
        said = re.search(r"servicebook (token create .+)", api.product.output)
        assert said is not None
        made = api.product.run(*shlex.split(said[1])).stdout.strip()

        with contextlib.closing(api.as_caller(made)) as operator:
            assert operator.ask("{ viewer { roles } }") == {"viewer": {"roles": ["OPERATOR"]}}
        assert "#token=" not in api.product.output
    assert "#token=" in first.output
    assert not (directory / "token").exists()
