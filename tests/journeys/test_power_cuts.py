"""Killed at any moment, the product ends up where it would have been."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from app import embedded
from tests.journeys import product as products
from tests.journeys.client import Api, PatientApi
from tests.journeys.conftest import Launch
from tests.journeys.test_deployments import read, release_by
from tests.journeys.test_removals import resources

_CUTS = 6


def live(api: Api, server: embedded.Address, path: Path) -> None:
    """Take a project through its life, which must be as if nothing had happened."""
    project = api.deployable_project()
    main = api.default(project.test, "DATABASE")
    release_by(api, project.test, path, "exit 0")
    api.deploy(project.test)
    with psycopg.connect(api.dsn(main)) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 7 AS total")
    api.do("rotateCredentials", id=main)
    api.wait(main, operation=None, secretVersion=2)
    other = api.add(project.test, prefix="REPORTS")
    api.deploy(project.test)
    assert read(path)["DATABASE_URL"] == api.dsn(main)
    assert read(path)["REPORTS_DATABASE_DSN"] == api.dsn(other)
    api.do("detachService", id=other)
    api.deploy(project.test)
    api.wait(other, operation=None, secretVersion=2)
    api.remove(other)
    assert resources(server, other) == []
    assert api.variables(project.test)["DATABASE_URL"] == (main, 2)
    with psycopg.connect(api.dsn(main)) as connection:
        assert connection.execute("SELECT total FROM orders").fetchall() == [(7,)]
    expected = [f"svc_{main.removeprefix('svc_')}{end}" for end in ("", "", "_v2")]
    products.until(lambda: sorted(resources(server, main)) == expected, "old logins are revoked")


def test_power_cuts_change_nothing(
    launch: Launch, server: embedded.Address, directory: Path
) -> None:
    product = launch().product
    apis = [PatientApi(product) for _ in range(3)]
    is_over = threading.Event()

    def cut() -> None:
        for _ in range(_CUTS):
            if is_over.wait(random.uniform(0.3, 1.5)):  # noqa: S311  any moment
                break
            product.kill()
            product.start()

    with ThreadPoolExecutor(4) as threads:
        lives = [
            threads.submit(live, api, server, directory / f"{number}.env")
            for number, api in enumerate(apis)
        ]
        cuts = threads.submit(cut)
        try:
            for each in lives:
                each.result()
        finally:
            is_over.set()
            cuts.result()
    for api in apis:
        api.close()
