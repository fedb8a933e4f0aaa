"""The eventsourcing library as it comes: the same aggregates over its PostgreSQL recorder.

Load, decide, commit; it keeps no read model and no command record in the transaction.
"""

import itertools
import threading
import time
from concurrent import futures
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
from eventsourcing import application

from app import catalogue
from domain import service_instance
from tests.benchmarks.contenders import contender

# Of a thousand in one transaction, its pipeline now and then keeps the last ones to itself: the
# server waits for them, and it for the server.
_AT_ONCE = 20


class _Services(application.Application[UUID]):
    name = "services"


class Stock:
    """Threads, each with a connection of its own."""

    name = "eventsourcing"

    def __init__(self) -> None:
        self.application: _Services
        self.ids: list[UUID] = []
        self._accepted = 0

    def prepare(self, conninfo: str) -> None:
        """Add services."""
        parts = psycopg.conninfo.conninfo_to_dict(conninfo)
        self.application = _Services(
            env={
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": str(parts["dbname"]),
                "POSTGRES_HOST": str(parts["host"]),
                "POSTGRES_PORT": str(parts["port"]),
                "POSTGRES_USER": str(parts["user"]),
                "POSTGRES_PASSWORD": "unused",
                "POSTGRES_POOL_SIZE": str(contender.MOST_CALLERS),
                "POSTGRES_MAX_OVERFLOW": "0",
                "MAPPER_TOPIC": "app.eventlog.mapper:EventMapper",
            }
        )
        made = [added() for _ in range(contender.SERVICES)]
        for start in range(0, len(made), _AT_ONCE):
            self.application.save(*made[start : start + _AT_ONCE])
        self.ids = [each.id for each in made]

    def run(self, *, callers: int, seconds: float) -> contender.Measured:
        """Attach and detach."""
        together = threading.Barrier(callers + 1)
        with futures.ThreadPoolExecutor(callers) as executor:
            calling = [
                executor.submit(self._call, self.ids[first::callers], together, seconds)
                for first in range(callers)
            ]
            together.wait()
            begin = time.perf_counter()
            latencies = [latency for each in calling for latency in each.result()]
        self._accepted += len(latencies)
        return contender.Measured(latencies, time.perf_counter() - begin)

    def finish(self) -> None:
        """Count the events."""
        recorded = self.application.recorder.max_notification_id()
        assert recorded == contender.SERVICES + self._accepted
        self.application.close()

    def _call(self, ids: list[UUID], together: threading.Barrier, seconds: float) -> list[float]:
        latencies: list[float] = []
        mine = itertools.cycle(ids)
        together.wait()
        end = time.perf_counter() + seconds
        while (begin := time.perf_counter()) < end:
            found: service_instance.ServiceInstance = self.application.repository.get(next(mine))
            toggle(found)
            self.application.save(found)
            latencies.append(time.perf_counter() - begin)
        return latencies


def toggle(found: service_instance.ServiceInstance) -> None:
    """Attach it, or detach it."""
    now = datetime.now(tz=UTC)
    if found.facts.wanted:
        found.request_detachment(at=now)
    else:
        found.request_attachment(at=now)


_CATALOGUE = catalogue.load()


def added() -> service_instance.ServiceInstance:
    """Return a service as an environment begins with."""
    offering = _CATALOGUE.offerings[0]
    return service_instance.ServiceInstance.add(
        service_instance_id=uuid4(),
        project_id=uuid4(),
        environment_id=uuid4(),
        environment_name="test",
        offering=offering.name,
        kind=offering.kind,
        plan=offering.plans[0].name,
        region=offering.regions[0],
        parameters={},
        prefix="DEFAULT",
        variable_names=("DEFAULT_DATABASE_DSN", "DATABASE_URL"),
        protected=False,
        at=datetime.now(tz=UTC),
    )
