"""A worker that sleeps until its work was given away wakes up harmless, and works again."""

import os
import signal
from collections.abc import Iterator

import psycopg
import pytest
import redis

from tests import brokers
from tests.hazards import proxy
from tests.journeys.client import Api
from tests.journeys.conftest import Launch, serving
from tests.journeys.product import until


@pytest.fixture
def line(redis_server: brokers.Broker) -> Iterator["Line"]:
    with proxy.Lines().running() as lines:
        yield Line(lines, redis_server)


class Line:
    """What the sleeper reaches Redis by; it falls asleep before it makes a user."""

    def __init__(self, lines: proxy.Lines, server: brokers.Broker) -> None:
        self.sleeper = 0
        self.is_asleep = False
        port = lines.open(host="127.0.0.1", port=server.port, watch=self._sees)
        self.url = server.redis_url.replace(f":{server.port}", f":{port}")

    def _sees(self, chunk: bytes) -> proxy.Fate:
        if self.sleeper and b"\r\nSET\r\n" in chunk:
            os.kill(self.sleeper, signal.SIGSTOP)
            self.sleeper, self.is_asleep = 0, True
        return proxy.Fate.PASS


def users(server: brokers.Broker, service: str) -> list[str]:
    with redis.Redis.from_url(server.redis_url, decode_responses=True) as client:
        return [user for user in client.acl_users() if user.startswith(service)]


def sealed(api: Api, service: str) -> list[tuple[int]]:
    with psycopg.connect(api.product.dsn) as connection:
        return connection.execute(
            "SELECT version FROM vault.credentials"
            " WHERE replace(service_instance_id::text, '-', '') = %s",
            [service.removeprefix("svc_")],
        ).fetchall()


def test_who_wakes_after_the_removal_leaves_nothing_behind(
    launch: Launch, redis_server: brokers.Broker, line: Line
) -> None:
    sleeper = launch(redis_provider_url=line.url, redis_provider_address=redis_server.address)
    project = sleeper.project()
    service, later = (
        sleeper.add(project.test, "redis", prefix=prefix) for prefix in ("EARLY", "LATE")
    )
    line.sleeper = sleeper.product.pid
    sleeper.do("provisionService", id=service)
    until(lambda: line.is_asleep, "the worker is in the middle of it")

    twin = sleeper.product.twin()
    twin.environment["SERVICEBOOK_REDIS_PROVIDER_URL"] = redis_server.redis_url
    with serving(twin) as other:
        other.wait(service, state="PENDING_ATTACHMENT")
        assert users(redis_server, service) == [service, f"{service}_v1"]
        other.remove(service)
        assert users(redis_server, service) == []
        os.kill(sleeper.product.pid, signal.SIGCONT)
        until(lambda: "ServiceCleanupStarted" in told(other, service), "it reports what it made")
        until(lambda: not users(redis_server, service), "what it made is removed")
        until(lambda: not sealed(other, service), "its credentials are forgotten")

    assert told(sleeper, service).count("ServiceProvisioned") == 1
    assert sleeper.state(service) == "REMOVED"
    # Its registration is gone, since it was taken for dead: it makes a new one.
    sleeper.provision(later)


def told(api: Api, service: str) -> list[str]:
    return [entry["event"] for entry in api.history(service)]


def test_what_nobody_told_of_is_removed_when_it_is_looked_for_again(
    launch: Launch, redis_server: brokers.Broker
) -> None:
    api = launch(redis_provider_url=redis_server.redis_url)
    service = api.add(api.project().test, "redis")
    api.provision(service)
    api.remove(service)

    # As one who woke up, and died before it could report.
    with redis.Redis.from_url(redis_server.redis_url) as client:
        client.acl_setuser(service, reset=True)
    with psycopg.connect(api.product.dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE task_name = 'clean_up'"
        )

    until(lambda: not users(redis_server, service), "it is found")
