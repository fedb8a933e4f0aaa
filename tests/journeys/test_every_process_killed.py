"""S8 while the API and the worker, processes of their own, are killed without a warning."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app import embedded
from tests import brokers
from tests.hazards import proxy, story
from tests.journeys import product as products
from tests.journeys.client import PatientApi


@pytest.fixture
def line(redis_server: brokers.Broker) -> Iterator[story.Line]:
    with proxy.Lines().running() as lines:
        yield story.Line(lines, redis_server)


@pytest.fixture
def processes(
    server: embedded.Address, migrated_template: str, line: story.Line
) -> Iterator[story.Processes]:
    settings = {
        "SERVICEBOOK_REDIS_PROVIDER_URL": line.url,
        "SERVICEBOOK_REDIS_PROVIDER_ADDRESS": line.address,
        "SERVICEBOOK_OPERATION_TIMEOUT": "3",
    }
    with (
        tempfile.TemporaryDirectory(prefix="servicebook-journey-") as place,
        products.prepared(
            server=server, template=migrated_template, directory=Path(place), settings=settings
        ) as product,
        story.Processes(product).running() as running,
    ):
        yield running


def test_a_service_is_made_once_whoever_is_killed(
    processes: story.Processes, line: story.Line
) -> None:
    cuts = iter(
        [
            lambda: processes.cut(worker=True),
            lambda: processes.cut(api=True),
            lambda: processes.cut(api=True, worker=True),
        ]
    )

    def cut() -> None:
        for each in cuts:
            each()

    with closing(PatientApi(processes.api)) as api:
        story.tell(api, line, cut)

    assert processes.kills == 4
