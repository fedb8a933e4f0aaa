"""What a fault run stands on: servers of its own, the API, and what the providers have."""

import contextlib
import json
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
import redis

from app import embedded
from tests import brokers
from tests.hazards import fleet
from tests.journeys import product as products
from tests.journeys.client import Api, Json, PatientApi

# What is tried is the product, not whether a server keeps its promises in a power cut.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_CLIENTS = 4
_TICK = 0.1  # seconds
_IN_HAND = (
    "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'"
    " OR status = 'todo' AND coalesce(scheduled_at, '-infinity') <= now()"
)
# The sleeper's task has begun once; who takes it over has counted another beginning, or ended it.
_NOT_GIVEN_AWAY = (
    "SELECT 1 FROM procrastinate_jobs WHERE task_name = 'perform_operation' AND attempts = 0"
    " AND replace(args ->> 'service_instance_id', '-', '') = %s"
)
_NAME = re.compile(r"svc_[0-9a-f]{32}")


@dataclass(frozen=True)
class Ground:
    """An API without a worker, over a PostgreSQL and a Redis."""

    directory: Path
    server: embedded.Address
    redis: brokers.Broker
    product: products.Product
    api: Api

    def ask(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        """Look into the product's database."""
        with psycopg.connect(self.product.dsn, autocommit=True) as connection:
            cursor = connection.execute(query, given)  # type: ignore[arg-type]  # ours
            return cursor.fetchall() if cursor.description else []

    def in_hand(self) -> int:
        """Count the work that is due or done; deadlines of operations are neither."""
        return int(self.ask(_IN_HAND)[0][0])

    def in_state(self, state: str) -> set[str]:
        """List the services in a state."""
        rows = self.ask(
            "SELECT replace(id::text, '-', '') FROM read.service_instances WHERE state = %s", state
        )
        return {f"svc_{name}" for (name,) in rows}

    def listed(self, name: str) -> list[Json]:
        """Return what is on one of the lists for operators."""
        return list(self.api.ask(f"{{ {name}(first: 100) {{ nodes {{ id }} }} }}")[name]["nodes"])

    def environments(self) -> list[str]:
        """List the environments."""
        rows = self.ask("SELECT replace(id::text, '-', '') FROM read.environments")
        return [f"env_{name}" for (name,) in rows]

    def count_events(self, topic: str) -> int:
        """Count what happened, all services together."""
        ((count,),) = self.ask("SELECT count(*) FROM ledger.events WHERE topic = %s", topic)
        return int(count)

    def add_services(self, *, environments: int, per_environment: int) -> list[str]:
        """Add parts of a Redis, and return them with the database of each environment."""

        def fill(_: int) -> list[str]:
            project = self.api.project()
            units = {"offering": "redis", "units": 2 * per_environment}
            self.api.do("setSubscription", project=project.id, units=[units])
            return [
                service
                for place in (project.test, project.live)
                for service in self._filled(place, per_environment)
            ]

        with ThreadPoolExecutor(_CLIENTS) as clients:
            return [each for part in clients.map(fill, range(environments // 2)) for each in part]

    def _filled(self, environment: str, number: int) -> list[str]:
        return [self.api.default(environment, "DATABASE")] + [
            self.api.do(
                "addService", environment=environment, offering="redis", prefix=f"CACHE_{each}"
            )["serviceInstance"]["id"]
            for each in range(number)
        ]

    def provided(self) -> list[str]:
        """List everything at the providers that belongs to a service, by its own name."""
        with psycopg.connect(self.server.dsn("postgres")) as connection:
            found = connection.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE 'svc%'"
                " UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE 'svc%'"
            ).fetchall()
        names = [str(name) for (name,) in found]
        with redis.Redis.from_url(self.redis.redis_url, decode_responses=True) as client:
            names += [name for name in client.acl_users() if name.startswith("svc_")]
        return sorted(names)


@contextlib.contextmanager
def laid(*, settings: Mapping[str, str]) -> Iterator[Ground]:
    """Run the servers and the API."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(_directory()))
        for name in ("product", "redis"):
            (place / name).mkdir()
        server = stack.enter_context(embedded.running(data=place / "postgres", settings=_FAST))
        broker = stack.enter_context(brokers.running_redis(place / "redis"))
        product = stack.enter_context(
            products.prepared(
                server=server,
                template="template1",
                directory=place / "product",
                settings={
                    "SERVICEBOOK_REDIS_PROVIDER_URL": broker.redis_url,
                    # Workers go another way, which the credentials shall not name.
                    "SERVICEBOOK_REDIS_PROVIDER_ADDRESS": broker.address,
                    **settings,
                },
            )
        )
        product.start("--no-worker")
        api = stack.enter_context(contextlib.closing(PatientApi(product)))
        yield Ground(directory=place, server=server, redis=broker, product=product, api=api)


@contextlib.contextmanager
def waking(found: Ground, workers: fleet.Fleet) -> Iterator[None]:
    """Wake the frozen as soon as others have taken over their work, until all are awake."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_TICK) or workers.frozen:
            workers.replace_ended()
            for slot in workers.frozen:
                if not found.ask(_NOT_GIVEN_AWAY, slot.frozen_over.removeprefix("svc_")):
                    workers.wake(slot)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def main(run: Callable[[], dict[str, Any]]) -> NoReturn:
    """Print what a run found as one JSON object; the exit code tells whether it passed."""
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # and take all along
    try:
        found = run()
    except (Exception, pytest.skip.Exception) as error:  # noqa: BLE001  the result tells it
        traceback.print_exc()
        found = {"passed": False, "error": f"{type(error).__name__}: {error}"}
    found["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(found, indent=2))
    sys.exit(0 if found["passed"] else 1)


def owner(name: str) -> str:
    """Return the service that something at a provider belongs to."""
    found = _NAME.match(name)
    assert found is not None, name
    return found.group()


@contextlib.contextmanager
def _directory() -> Iterator[str]:
    with tempfile.TemporaryDirectory(
        prefix="servicebook-faults-", ignore_cleanup_errors=True
    ) as place:
        Path(place).chmod(0o711)  # root's PostgreSQL runs as another account
        yield place
