"""S8 again and again, while the API, the worker, or both are killed at random moments."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from tests.hazards import ground, proxy, story
from tests.hazards.fleet import say
from tests.journeys.client import PatientApi

STORIES = 6
AT_A_TIME = 3
OPERATION_TIMEOUT = 12  # seconds: more than it takes to notice that a worker is dead
PAUSES = (1.0, 4.0)  # seconds between two kills


def run() -> dict[str, Any]:
    with (
        ground.laid(settings={"SERVICEBOOK_OPERATION_TIMEOUT": str(OPERATION_TIMEOUT)}) as found,
        proxy.Lines().running() as lines,
    ):
        line = story.Line(lines, found.redis)
        found.product.kill()
        found.product.environment["SERVICEBOOK_REDIS_PROVIDER_URL"] = line.url
        with story.Processes(found.product).running() as processes:
            failures = _told_under_fire(processes, line)
            left = found.ask(
                "SELECT count(*) FROM read.service_instances WHERE operation_status = 'IN_PROGRESS'"
            )[0][0]
        return {
            "stories": STORIES,
            "kills": processes.kills,
            "failures": failures,
            "in_progress_at_the_end": left,
            "passed": not failures and not left,
        }


def _told_under_fire(processes: story.Processes, line: story.Line) -> list[str]:
    is_over = threading.Event()

    def cut() -> None:
        while not is_over.wait(random.uniform(*PAUSES)):  # noqa: S311  any moment
            api, worker = random.choice(((True, False), (False, True), (True, True)))  # noqa: S311  any
            processes.cut(api=api, worker=worker)

    def tell(number: int) -> None:
        with closing(PatientApi(processes.api)) as api:
            story.tell(api, line, lambda: None)
        say(f"story {number} is told, {processes.kills} kills so far")

    with ThreadPoolExecutor(AT_A_TIME + 1) as threads:
        cuts = threads.submit(cut)
        stories = [threads.submit(tell, number) for number in range(STORIES)]
        try:
            failures = [str(error) for each in stories if (error := each.exception())]
        finally:
            is_over.set()
            cuts.result()
    return failures


if __name__ == "__main__":
    ground.main(run)
