"""The product, and its database in the sizes to hold or a part of them."""

import asyncio
import contextlib
import dataclasses
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from app import embedded
from app.graphql import identifiers
from tests.benchmarks import data, questions, server
from tests.journeys import product

NAME = "servicebook"
_SETTINGS = {"SERVICEBOOK_LIMIT_BUDGET": "1000000000000"}
_SAMPLE = 1_000
_PATIENCE = 1_200.0  # seconds
_IS_SEALED = """SELECT coalesce(max(size), 0) + 10 > (SELECT position FROM ledger.head)
    FROM audit.checkpoints"""


@dataclasses.dataclass(frozen=True)
class Served:
    """One process over what was loaded."""

    product: product.Product
    landmarks: data.Landmarks

    @property
    def dsn(self) -> str:
        """Connection string of the database."""
        return self.product.dsn

    @property
    def as_peer(self) -> questions.Peer:
        """The product as one of those who are asked."""
        it = self.product
        return questions.Peer(name=NAME, address=it.url, pid=it.pid, token=it.token)

    def ids(self, type_name: str) -> list[str]:
        """Return ids of the API, of things that are anywhere in the data."""
        table = {"Environment": "environments", "ServiceInstance": "service_instances"}[type_name]
        found = self.ask(f"SELECT id FROM read.{table} ORDER BY random() LIMIT {_SAMPLE}")  # noqa: S608  ours
        return [identifiers.text(type_name=type_name, uuid=id_) for (id_,) in found]

    def ask(self, statement: str, *values: uuid.UUID | str) -> list[Any]:
        """Return rows, if it returns any."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def running(*, percent: float) -> Iterator[Served]:
    """Load a database and hold a process over it."""
    with server.running() as address, served(address, percent=percent) as made:
        yield made


@contextlib.contextmanager
def served(address: embedded.Address, *, percent: float) -> Iterator[Served]:
    """Load a database of this server, and hold a process over it."""
    dsn = server.create_database(address, name=f"loaded_{percent:g}")
    landmarks = asyncio.run(data.load(conninfo=dsn, sizes=data.Sizes.percent(percent)))
    with tempfile.TemporaryDirectory(prefix="servicebook-bench-") as place:
        provider = {
            "SERVICEBOOK_POSTGRES_PROVIDER_DSN": product.provider_dsn(address),
            "SERVICEBOOK_POSTGRES_PROVIDER_ADDRESS": f"{address.host}:{address.port}",
        }
        made = product.Product(directory=Path(place), dsn=dsn, settings=_SETTINGS | provider)
        try:
            made.start()
            found = Served(product=made, landmarks=landmarks)
            _settle(found)
            yield found
            made.stop(within=10)
        finally:
            made.kill()


def _settle(found: Served) -> None:
    """Wait until what was loaded is sealed, which takes as long as loading it."""
    deadline = time.monotonic() + _PATIENCE
    while not found.ask(_IS_SEALED)[0][0]:
        assert time.monotonic() < deadline, "the log is not sealed"
        time.sleep(1)
