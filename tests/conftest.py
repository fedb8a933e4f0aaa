import asyncio
import contextlib
import itertools
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from app import embedded, migrations
from tests import brokers

_numbers = itertools.count(1)

# A busy machine is no failure; and what one run finds, the next finds too.
hypothesis.settings.register_profile(
    "servicebook",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("servicebook")
_PATIENCE = 30.0


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that every account can reach: root's PostgreSQL runs as another one."""
    with _directory() as place:
        yield place


@pytest.fixture(scope="session")
def server() -> Iterator[embedded.Address]:
    """One PostgreSQL for all tests; what it holds ends with them."""
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with (
        _directory() as place,
        embedded.running(data=place / "postgres", settings=settings) as address,
    ):
        yield address


@pytest.fixture(scope="session")
def storage() -> Iterator[embedded.StorageAddress]:
    """One S3 for all tests."""
    with _directory() as place, embedded.storing(data=place / "storage") as address:
        deadline = time.monotonic() + _PATIENCE
        while not _is_open(address):
            assert time.monotonic() < deadline, (place / "storage.log").read_text()[-4000:]
            time.sleep(0.05)
        yield address


@pytest.fixture(scope="session")
def redis_server() -> Iterator[brokers.Broker]:
    """One Redis for all tests that find no fault with it."""
    with _directory() as place, brokers.running_redis(place) as broker:
        yield broker


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[brokers.Broker]:
    """One RabbitMQ for all tests: it takes eight seconds to start."""
    with _directory() as place, brokers.running_rabbitmq(place) as broker:
        yield broker


@pytest.fixture(scope="session")
def migrated_template(server: embedded.Address) -> str:
    name = "migrated"
    _create(server, name=name, template="template1")
    asyncio.run(migrations.migrate(conninfo=server.dsn(name)))
    return name


@pytest.fixture
def database(server: embedded.Address, migrated_template: str) -> Iterator[str]:
    """Connection string of a fresh database with the current schema."""
    name = f"test_{next(_numbers)}"
    _create(server, name=name, template=migrated_template)
    yield server.dsn(name)
    _drop(server, name=name)


@pytest.fixture
def empty_database(server: embedded.Address) -> Iterator[str]:
    """Connection string of a fresh database that holds nothing."""
    name = f"test_{next(_numbers)}"
    _create(server, name=name, template="template0")
    yield server.dsn(name)
    _drop(server, name=name)


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    # A server that was killed may still be writing its last.
    with tempfile.TemporaryDirectory(
        prefix="servicebook-tests-", ignore_cleanup_errors=True
    ) as place:
        Path(place).chmod(0o711)
        yield Path(place)


def _is_open(address: embedded.StorageAddress) -> bool:
    try:
        socket.create_connection((address.host, address.port)).close()
    except OSError:
        return False
    return True


def _create(server: embedded.Address, *, name: str, template: str) -> None:
    new, old = sql.Identifier(name), sql.Identifier(template)
    _execute(server, sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(new, old))
    # The postgres provider refuses to serve tenants beside a database that all may enter.
    _execute(server, sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(new))


def _drop(server: embedded.Address, *, name: str) -> None:
    _execute(
        server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )


def _execute(server: embedded.Address, statement: sql.Composed) -> None:
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(statement)
