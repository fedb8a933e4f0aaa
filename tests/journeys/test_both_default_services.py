"""S5, out of the box: a new environment's database and storage, attached by one deployment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session
import psycopg
import pytest
from botocore import config

from tests.journeys import product as products
from tests.journeys.client import Api
from tests.journeys.conftest import serving


@pytest.fixture
def api(directory: Path) -> Iterator[Api]:
    with serving(products.local(directory)) as found:
        yield found


def storage(dsn: str) -> tuple[Any, str]:
    """Connect to storage with what its variable says; return the client and the bucket."""
    parts = urlsplit(dsn)
    options = parse_qs(parts.query)
    client = botocore.session.Session().create_client(
        "s3",
        endpoint_url=options["endpoint"][0],
        region_name=options["region"][0],
        aws_access_key_id=unquote(parts.username or ""),
        aws_secret_access_key=unquote(parts.password or ""),
        config=config.Config(
            s3={"addressing_style": "path"},
            proxies={},
            # After a kill the store answers InternalError for some seconds.
            retries={"mode": "standard", "total_max_attempts": 10},
        ),
    )
    return client, parts.path.strip("/")


def test_one_deployment_attaches_database_and_storage(api: Api) -> None:
    project = api.project()

    deployment = api.deploy(project.test)

    services = {each["offering"]["name"]: each for each in api.services(project.test)}
    assert {each["state"] for each in services.values()} == {"ATTACHED"}
    assert deployment["revision"] == 1
    assert {name: version for name, (_, version) in api.variables(project.test).items()} == {
        "DATABASE_URL": 1,
        "DEFAULT_DATABASE_DSN": 1,
        "DEFAULT_STORAGE_DSN": 1,
    }
    with psycopg.connect(api.dsn(services["postgres"]["id"])) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    files, bucket = storage(api.dsn(services["s3"]["id"]))
    files.put_object(Bucket=bucket, Key="note", Body=b"kept")
    assert files.get_object(Bucket=bucket, Key="note")["Body"].read() == b"kept"


def test_storage_lives_as_long_as_its_service(api: Api) -> None:
    project = api.project()
    service = api.default(project.test, "STORAGE")
    api.provision(service)
    old = api.dsn(service)
    files, bucket = storage(old)
    files.put_object(Bucket=bucket, Key="note", Body=b"kept")

    api.product.kill()
    api.product.start()
    api.do("rotateCredentials", id=service)
    api.wait(service, operation=None, secretVersion=2)
    new = api.dsn(service)
    files, bucket = storage(new)
    kept = files.get_object(Bucket=bucket, Key="note")["Body"].read()
    api.remove(service)

    assert new != old
    assert kept == b"kept"
    assert api.service(service)["state"] == "REMOVED"
