"""1,000 provisionings while a worker is killed every 200 ms, providers fall silent, workers freeze.

At the end every service has its resource, each exactly once; what is not in use is listed; and
nothing is in progress that nobody is at work on.
"""

import collections
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import redis

from tests.hazards import faults, fleet, ground
from tests.hazards.fleet import say

ENVIRONMENTS = 40  # each with a database, which takes 8 MB, and parts of a Redis
PER_ENVIRONMENT = 24
KILL_EVERY = 0.2  # seconds
TIMEOUTS = 0.05
ZOMBIES = 0.02
WORKERS = 8
ALMOST_ALL = 0.95  # when the killing ends, so that there is something left to be stuck
GIVE_UP = 400.0  # seconds
SETTLE_WITHIN = 60.0  # seconds after the last kill

_CLIENTS = 4
_TOLD_EVERY = 5.0  # seconds


def run() -> dict[str, Any]:
    with ground.laid(settings={"SERVICEBOOK_WORKER_CONCURRENCY": "4"}) as found:
        say("adding services")
        services = found.add_services(environments=ENVIRONMENTS, per_environment=PER_ENVIRONMENT)
        random.shuffle(services)
        plan = faults.Plan()
        # More than wanted: not each meets a worker to whom it can happen.
        plan.draw(services, faults.Kind.TIMEOUT, share=2.5 * TIMEOUTS)
        plan.draw(services, faults.Kind.ZOMBIE, share=1.5 * ZOMBIES)
        workers = fleet.Fleet(
            size=WORKERS,
            environment=found.product.environment,
            directory=found.directory,
            plan=plan,
        )
        result: dict[str, Any] = {"provisionings": len(services)}
        with workers.running(), ground.waking(found, workers):
            result |= _provisioned(found, workers, services)
        result |= {
            "timeouts_injected": plan.happened[faults.Kind.TIMEOUT],
            "zombies_injected": plan.happened[faults.Kind.ZOMBIE],
            **_seen(found),
            **_checked(found, services),
        }
    faultless = ("stuck", "missing", "twice", "unlisted", "unusable")
    result["passed"] = (
        not any(result[name] for name in faultless)
        and result["settled_after_last_kill_seconds"] <= SETTLE_WITHIN
        and result["timeouts_injected"] >= TIMEOUTS * len(services)
        and result["zombies_injected"] >= ZOMBIES * len(services)
    )
    return result


def _provisioned(
    found: ground.Ground, workers: fleet.Fleet, services: Sequence[str]
) -> dict[str, Any]:
    """Have all of them provisioned under fire; tell how that went."""
    begun = time.monotonic()
    with ThreadPoolExecutor(_CLIENTS) as clients:
        requests = [
            clients.submit(found.api.do, "provisionService", id=service) for service in services
        ]
        with workers.killed(every=KILL_EVERY):
            _follow(found, workers, enough=ALMOST_ALL * len(services), seconds=GIVE_UP)
        last_kill, under_fire = time.monotonic(), _settled(found)
        for request in requests:
            request.result()
    _follow(found, workers, enough=len(services), seconds=SETTLE_WITHIN)
    return {
        "kills": workers.kills,
        "workers_that_ended_by_themselves": workers.exits,
        "under_fire_seconds": round(last_kill - begun, 1),
        "settled_at_last_kill": under_fire,
        "settled_after_last_kill_seconds": round(time.monotonic() - last_kill, 1),
        "stuck": _stuck(found),
    }


def _follow(found: ground.Ground, workers: fleet.Fleet, *, enough: float, seconds: float) -> None:
    """Wait until so many are settled and, if that is all of them, nothing is in hand."""
    deadline = time.monotonic() + seconds
    told = 0.0
    while time.monotonic() < deadline:
        settled = _settled(found)
        is_all = settled == ENVIRONMENTS * (PER_ENVIRONMENT + 1)
        if settled >= enough and not (is_all and found.in_hand()):
            return
        if time.monotonic() > told + _TOLD_EVERY:
            told = time.monotonic()
            say(f"{settled} settled, {workers.kills} kills, {len(workers.frozen)} frozen")
        time.sleep(0.2)


def _settled(found: ground.Ground) -> int:
    return len(found.in_state("PENDING_ATTACHMENT"))


def _stuck(found: ground.Ground) -> list[str]:
    """List what is in progress, and tasks that are due and not done."""
    return [
        str(row)
        for row in found.ask(
            "SELECT id::text, state, operation_attempt::text FROM read.service_instances"
            " WHERE operation_status = 'IN_PROGRESS'"
            " UNION ALL SELECT task_name, status::text, attempts::text FROM procrastinate_jobs"
            " WHERE status = 'doing' OR status = 'failed'"
            " OR status = 'todo' AND coalesce(scheduled_at, '-infinity') <= now()"
        )
    ]


def _seen(found: ground.Ground) -> dict[str, Any]:
    """Tell from the log what the product made of it."""
    ((timeouts,),) = found.ask(
        "SELECT count(*) FROM ledger.events WHERE strpos(state::text, %s) > 0", "PROVIDER_TIMEOUT"
    )
    return {
        "timeouts_noticed": timeouts,
        "attempts_put_off": found.count_events("ServiceOperationDelayed"),
        "results_ignored": found.count_events("ServiceResultIgnored"),
    }


def _checked(found: ground.Ground, services: Sequence[str]) -> dict[str, Any]:
    """Compare what the providers have with what it should be, and log in everywhere."""
    names = collections.Counter(found.provided())
    databases = {found.api.default(place, "DATABASE") for place in found.environments()}
    expected: collections.Counter[str] = collections.Counter()
    for service in services:
        expected[service] = 2 if service in databases else 1  # database and owner, or user
        expected[f"{service}_v1"] = 1
    extra = names - expected
    listed = {each["id"] for each in found.listed("orphans")}
    with ThreadPoolExecutor(_CLIENTS) as clients:
        logins = list(clients.map(lambda service: _logs_in(found, service), services))
    return {
        "missing": sorted(expected - names),
        "twice": sorted(name for name in extra if name in expected),
        "unlisted": sorted(
            name for name in extra if name not in expected and ground.owner(name) not in listed
        ),
        "unusable": [service for service, works in zip(services, logins, strict=True) if not works],
    }


def _logs_in(found: ground.Ground, service: str) -> bool:
    """Do the credentials that the product keeps open the resource?"""
    shown = found.api.outcome("revealCredentials", id=service, reason="to log in")
    if shown["__typename"] != "RevealCredentialsSuccess":
        say(f"{service}: {shown}")
        return False
    uri = shown["variables"][0]["value"]
    try:
        if uri.startswith("redis"):
            with redis.Redis.from_url(uri) as client:
                return bool(client.ping())
        with psycopg.connect(uri) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except (psycopg.Error, redis.RedisError) as error:
        say(f"{service}: {error}")
        return False


if __name__ == "__main__":
    ground.main(run)
