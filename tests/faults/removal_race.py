"""200 services are removed at random moments while they are provisioned; nothing is left of them.

Some more are, since for some the removal comes too late.

Workers are killed and frozen meanwhile. Who wakes after the removal may make the resource again:
it must be found and removed, and so must its credentials.
"""

import collections
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.hazards import faults, fleet, ground
from tests.hazards.fleet import say

ENVIRONMENTS = 30  # each with a database, and parts of a Redis
PER_ENVIRONMENT = 9
AT_A_TIME = 8
ENOUGH = 200
LONGEST_HEAD_START = 0.1  # seconds between the request and its removal
KILL_EVERY = 1.0
ZOMBIES = 0.05
WORKERS = 4
GIVE_UP = 120.0  # seconds


def run() -> dict[str, Any]:
    with ground.laid(settings={}) as found:
        say("adding services")
        services = found.add_services(environments=ENVIRONMENTS, per_environment=PER_ENVIRONMENT)
        random.shuffle(services)
        plan = faults.Plan()
        plan.draw(services, faults.Kind.ZOMBIE, share=ZOMBIES)
        workers = fleet.Fleet(
            size=WORKERS,
            environment=found.product.environment,
            directory=found.directory,
            plan=plan,
        )
        with workers.running():
            with workers.killed(every=KILL_EVERY), ground.waking(found, workers):
                met = _race_all(found, services)
                say("all are asked for and removed")
                until(lambda: found.in_state("REMOVED") >= set(services), "all are removed")
            _look_again(found)
            left = sorted(set(services) - found.in_state("REMOVED"))
        result = {
            "races": len(services),
            "removed_while": dict(collections.Counter(met)),
            "kills": workers.kills,
            "zombies_injected": plan.happened[faults.Kind.ZOMBIE],
            "results_that_came_late": found.count_events("ServiceResultIgnored"),
            "cleanups_after_them": found.count_events("ServiceCleanupStarted"),
            "not_removed": left,
            "left_at_providers": found.provided(),
            "credentials_left": found.ask("SELECT count(*) FROM vault.credentials")[0][0],
        }
    faultless = ("not_removed", "left_at_providers", "credentials_left")
    result["passed"] = (
        not any(result[name] for name in faultless)
        and result["removed_while"].get("PROVISIONING", 0) >= ENOUGH
    )
    return result


def _race_all(found: ground.Ground, services: list[str]) -> list[str]:
    with ThreadPoolExecutor(AT_A_TIME) as users:
        return list(users.map(lambda service: _race(found, service), services))


def _race(found: ground.Ground, service: str) -> str:
    """Ask for a resource and soon for its end; return the state that this met."""
    found.api.do("setDeletionProtection", id=service, protected=False)
    found.api.do("provisionService", id=service)
    time.sleep(random.uniform(0, LONGEST_HEAD_START))  # noqa: S311  any moment
    met = found.api.service(service)
    found.api.do("removeService", id=service, confirm=met["confirmation"])
    return str(met["state"])


def _look_again(found: ground.Ground) -> None:
    """Let the time pass after which removed resources are looked for once more."""
    until(lambda: not found.in_hand(), "what is due is done")
    found.ask(
        "UPDATE procrastinate_jobs SET scheduled_at = now()"
        " WHERE task_name = 'clean_up' AND status = 'todo'"
    )
    until(lambda: not found.in_hand(), "nothing is left")


def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for something; if it does not come, the result will tell."""
    deadline = time.monotonic() + GIVE_UP
    while not is_so():
        if time.monotonic() > deadline:
            say(f"not within {GIVE_UP:g} seconds: {what}")
            return
        time.sleep(0.2)


if __name__ == "__main__":
    ground.main(run)
