"""`servicebook serve` and nothing else: the database comes with it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.journeys import product as products
from tests.journeys.client import Api
from tests.journeys.conftest import serving


@pytest.fixture
def api(directory: Path) -> Iterator[Api]:
    with serving(products.local(directory)) as found:
        yield found


def test_everything_is_there_again_after_a_stop_and_after_a_power_cut(api: Api) -> None:
    project = api.deployable_project()
    service = api.default(project.test, "DATABASE")
    api.deploy(project.test)
    with psycopg.connect(api.dsn(service)) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 7 AS total")

    running = servers(api)
    code = api.product.stop()
    left = servers(api)
    api.product.start()
    api.product.kill()
    api.product.start()

    assert (len(running), code, left) == (1, 0, [])
    assert api.state(service) == "ATTACHED"
    with psycopg.connect(api.dsn(service)) as connection:
        assert connection.execute("SELECT total FROM orders").fetchall() == [(7,)]
    assert "Traceback" not in api.product.output


def servers(api: Api) -> list[str]:
    """List the PostgreSQL processes over the product's data."""
    shown = subprocess.run(
        ["/bin/ps", "axww", "-o", "args="], check=True, capture_output=True, text=True
    )
    return [line for line in shown.stdout.splitlines() if f"-D {api.product.directory}" in line]


def test_what_only_its_owner_may_read(api: Api) -> None:
    project = api.deployable_project()
    api.deploy(project.test)

    modes = {
        path.name: oct(path.stat().st_mode & 0o777)
        for path in api.product.directory.rglob("*")
        if path.name in {"token", "keyring.json", ".env"}
    }

    assert modes == {"token": "0o600", "keyring.json": "0o600", ".env": "0o600"}
