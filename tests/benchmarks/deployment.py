"""From `deploy` to attached, as a subscriber is told, with PostgreSQL and S3 embedded.

The control plane's own share is the time during which neither a provider nor the deployer is at
work: it is measured at their calls, inside the product.
"""

import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from websockets.sync import client as websockets

from tests.journeys import product as products
from tests.journeys import test_subscriptions
from tests.journeys.client import Api

ROUNDS = 15
TARGET = 0.1  # seconds of the control plane's own

_CLOCK = (sys.executable, "-c", "from tests.hazards.clock import main; main()")
_CHANGES = "subscription Steps($id: ID!) { deploymentChanges(id: $id) { status } }"
_START = "mutation Start($id: ID!) { deploy(input: {environment: $id}) { __typename"
_START += " ... on DeploySuccess { deployment { id } } } }"


@dataclass(frozen=True)
class Lap:
    """One deployment, in seconds."""

    total: float
    providers: float
    deployer: float
    to_providers: float
    """From the request to the first call of a provider, or of the deployer."""
    to_deployer: float
    """From the last provider's answer to the deployer's call."""
    to_subscriber: float
    """From the deployer's answer to the news."""

    @property
    def own(self) -> float:
        return self.total - self.providers - self.deployer


def main() -> None:
    with _served() as (api, calls):
        for _ in range(2):
            api.deploy(_environment(api))  # the first ones wait for the store, and fill caches
        first, again = [], []
        for _ in range(ROUNDS):
            environment = _environment(api)
            first.append(_deploy(api, environment, calls))
            again.append(_deploy(api, environment, calls))
    _print("with both services to be made", first)
    _print("with nothing to be made", again)
    own = statistics.median(lap.own for lap in first)
    print(f"own share {own * 1000:.0f} ms, target {TARGET * 1000:.0f} ms")
    sys.exit(0 if own < TARGET else 1)


@contextlib.contextmanager
def _served() -> Iterator[tuple[Api, Path]]:
    with tempfile.TemporaryDirectory(prefix="servicebook-bench-", ignore_cleanup_errors=True) as at:
        place = Path(at)
        place.chmod(0o711)  # root's PostgreSQL runs as another account
        product = products.local(place)
        product.environment["CALLS"] = str(place / "calls")
        product.command = _CLOCK
        try:
            product.start()
            with contextlib.closing(Api(product)) as api:
                yield api, place / "calls"
        finally:
            product.kill()


def _environment(api: Api) -> str:
    return api.project().test


def _deploy(api: Api, environment: str, calls: Path) -> Lap:
    seen = len(calls.read_text().splitlines()) if calls.exists() else 0
    begun = time.time()
    deployment = api.ask(_START, id=environment)["deploy"]["deployment"]["id"]
    _await_end(api, deployment)
    told = time.time()
    made = [json.loads(line) for line in calls.read_text().splitlines()[seen:]]
    made = [(name, start, min(end, told)) for name, start, end in made if start < told]
    by_providers = [each for each in made if each[0].startswith("provider")]
    (release,) = [each for each in made if each[0] == "deployer release"]
    by_providers = [each for each in by_providers if each[1] < release[1]]
    first = min((start for _, start, _ in by_providers), default=release[1])
    last = max((end for _, _, end in by_providers), default=release[1])
    return Lap(
        total=told - begun,
        providers=_covered([(start, end) for _, start, end in by_providers]),
        deployer=release[2] - release[1],
        to_providers=first - begun,
        to_deployer=release[1] - last,
        to_subscriber=told - release[2],
    )


def _await_end(api: Api, deployment: str) -> None:
    address = api.product.url.replace("http", "ws", 1) + "/graphql"
    with websockets.connect(
        address, subprotocols=[test_subscriptions.PROTOCOL], close_timeout=0
    ) as socket:
        payload = {"authorization": f"Bearer {api.product.token}"}
        socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(socket.recv(timeout=10))["type"] == "connection_ack"
        asked = {"query": _CHANGES, "variables": {"id": deployment}}
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": asked}))
        for change in test_subscriptions.Stream(socket):
            if change["status"] != "RUNNING":
                assert change["status"] == "SUCCEEDED", change
                return


def _covered(spans: list[tuple[float, float]]) -> float:
    """Return how long at least one of them lasted."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _print(title: str, laps: list[Lap]) -> None:
    columns: dict[str, Callable[[Lap], float]] = {
        "total": lambda lap: lap.total,
        "providers": lambda lap: lap.providers,
        "deployer": lambda lap: lap.deployer,
        "own share": lambda lap: lap.own,
        "to the first call": lambda lap: lap.to_providers,
        "providers to deployer": lambda lap: lap.to_deployer,
        "deployer to subscriber": lambda lap: lap.to_subscriber,
    }
    print(f"{title} ({len(laps)} deployments)")
    print(f"  {'milliseconds':24}{'median':>8}{'p90':>8}{'worst':>8}")
    for name, of in columns.items():
        times = sorted(of(lap) * 1000 for lap in laps)
        shown = (statistics.median(times), times[int(0.9 * (len(times) - 1))], times[-1])
        print(f"  {name:24}" + "".join(f"{each:8.0f}" for each in shown))


if __name__ == "__main__":
    main()
