"""S8: a provider that hangs, and an API and a worker that are killed meanwhile."""

import contextlib
import random
from collections.abc import Callable, Iterator

import redis

from tests import brokers
from tests.hazards import proxy
from tests.journeys import product as products
from tests.journeys.client import Api
from tests.journeys.product import until

_SILENCE = (proxy.Fate.LOSE, proxy.Fate.LOSE_ANSWERS)


class Line:
    """The way to Redis, on which no answer comes back to whoever asks about some services."""

    def __init__(self, lines: proxy.Lines, server: brokers.Broker) -> None:
        self._silent: set[bytes] = set()
        self._server = server
        self.address = server.address
        port = lines.open(host="127.0.0.1", port=server.port, watch=self._sees)
        self.url = server.redis_url.replace(f":{server.port}", f":{port}")

    def silence(self, service: str) -> None:
        self._silent.add(service.encode())

    def let_speak(self, service: str) -> None:
        self._silent.discard(service.encode())

    def _sees(self, chunk: bytes) -> proxy.Fate:
        if any(name in chunk for name in tuple(self._silent)):
            return random.choice(_SILENCE)  # noqa: S311  either
        return proxy.Fate.PASS

    def users(self, service: str) -> list[str]:
        """List what the provider has of a service."""
        with redis.Redis.from_url(self._server.redis_url, decode_responses=True) as client:
            return sorted(user for user in client.acl_users() if user.startswith(service))


class Processes:
    """An API and a worker over one database."""

    def __init__(self, product: products.Product) -> None:
        self.api = product
        self._worker = product.twin()
        self.kills = 0

    @contextlib.contextmanager
    def running(self) -> Iterator["Processes"]:
        try:
            self.api.start("--no-worker")
            self._worker.start_worker()
            yield self
        finally:
            self._worker.kill()
            self.api.kill()

    def cut(self, *, api: bool = False, worker: bool = False) -> None:
        """Kill one or both at once, and start what was killed again."""
        if api:
            self.api.kill()
        if worker:
            self._worker.kill()
        self.kills += api + worker
        if api:
            self.api.start("--no-worker")
        if worker:
            self._worker.start_worker()


def tell(api: Api, line: Line, cuts: Callable[[], None]) -> None:
    """Have a service made by a provider that hangs until the deadline, then by one that works.

    `cuts` is called while each is at it. Asked for often enough, the service is made, once.
    """
    service = api.add(api.project().test, "redis")
    line.silence(service)
    api.do("provisionService", id=service)
    cuts()
    failed = api.wait_for_failure(service)
    assert failed["error"]["code"] == "DEADLINE_EXCEEDED", failed
    assert api.state(service) == "NEW"

    line.let_speak(service)
    api.do("provisionService", id=service)
    cuts()

    def is_made() -> bool:
        found = api.service(service)
        if found["state"] == "NEW":  # a worker died of it, and the deadline came again
            api.do("provisionService", id=service)
        return bool(found["state"] == "PENDING_ATTACHMENT")

    until(is_made, f"{service} is made")
    assert line.users(service) == [service, f"{service}_v1"]
    with redis.Redis.from_url(api.dsn(service)) as client:
        assert client.ping()
