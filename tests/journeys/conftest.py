import contextlib
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from app import embedded
from tests.journeys import client
from tests.journeys import product as products

Launch = Callable[..., client.Api]

_running: list[products.Product] = []
_TAIL = 8000  # characters of output that a failed story shows


@pytest.fixture(scope="session")
def shared_api(server: embedded.Address, migrated_template: str) -> Iterator[client.Api]:
    with launching(server, migrated_template, {}) as api:
        yield api


@pytest.fixture
def api(shared_api: client.Api) -> client.Api:
    """One product for all stories that need no other; each makes a project of its own."""
    return shared_api


@pytest.fixture
def launch(server: embedded.Address, migrated_template: str) -> Iterator[Launch]:
    """Start a product for this story alone, with settings: launch(operation_timeout="2")."""
    with contextlib.ExitStack() as stack:

        def launched(**settings: str) -> client.Api:
            return stack.enter_context(launching(server, migrated_template, settings))

        yield launched


@contextlib.contextmanager
def launching(
    server: embedded.Address, template: str, settings: dict[str, str]
) -> Iterator[client.Api]:
    """Start a product with these settings, and end it."""
    variables = {f"SERVICEBOOK_{name.upper()}": text for name, text in settings.items()}
    with (
        tempfile.TemporaryDirectory(prefix="servicebook-journey-") as place,
        products.prepared(
            server=server, template=template, directory=Path(place), settings=variables
        ) as product,
        serving(product) as api,
    ):
        yield api


@contextlib.contextmanager
def beside(api: client.Api) -> Iterator[client.Api]:
    """Serve from another process too, over the same database and directory."""
    with serving(api.product.twin()) as another:
        yield another


@contextlib.contextmanager
def serving(product: products.Product) -> Iterator[client.Api]:
    """Start the product, and end it without a warning."""
    _running.append(product)
    api = client.Api(product)
    try:
        product.start()
        yield api
    finally:
        api.close()
        product.kill()
        _running.remove(product)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for product in _running:
            report.sections.append((f"output of {product.url}", product.output[-_TAIL:]))
    return report
