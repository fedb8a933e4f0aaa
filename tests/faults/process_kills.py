"""The API's process is killed at any moment; clients send what nobody answered again.

Half of the kills wait for a commit, so that they fall between it and the answer.
"""

import concurrent.futures
import dataclasses
import os
import random
import signal
import tempfile
import threading
import time
import uuid
from pathlib import Path

import httpx
import psycopg

from app import embedded
from tests.faults import ground
from tests.journeys import client
from tests.journeys import product as products

_PAUSES = (0.05, 1.0)  # seconds between the start of the process and its end
_COMMIT_WITHIN = 5.0  # seconds
_PATIENCE = 600.0  # seconds; on a busy machine many an attempt is killed
_ON_THE_WAY = 0.03  # seconds in which an answer that was sent arrives
_BETWEEN_TRIES = 0.1  # seconds
_MUTATION = """
    mutation Add($input: AddMemberInput!) { addMember(input: $input) { __typename
      ... on AddMemberSuccess { position } ... on Refusal { code message } } }
"""


@dataclasses.dataclass
class Clients:
    """What clients asked for, and what they were answered."""

    positions: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    refusals: list[object] = dataclasses.field(default_factory=list)
    unanswered: int = 0
    committed_unanswered: int = 0

    def waiting(self) -> list[str]:
        """Return what was asked for and not answered."""
        return [subject for subject, heard in list(self.positions.items()) if not heard]


def run(product: products.Product, *, kills: int, clients: int) -> dict[str, object]:
    """Kill the process so often under so many clients; it runs already."""
    seen, is_over = Clients(), threading.Event()
    api = client.Api(product)
    projects = [api.project().id for _ in range(clients)]
    api.close()

    def work(project: str) -> None:
        with httpx.Client(timeout=products.PATIENCE) as http:
            while not is_over.is_set():
                _add_member(http, product, project, seen)

    with concurrent.futures.ThreadPoolExecutor(clients) as threads:
        working = [threads.submit(work, project) for project in projects]
        try:
            for number in range(kills):
                time.sleep(random.uniform(*_PAUSES))  # noqa: S311  any moment
                if number % 2 == 0:
                    _stop_after_a_commit(product, seen)
                product.kill()
                product.start()
        finally:
            is_over.set()
        for each in working:
            each.result()
    figures = _counted(product.dsn, seen)
    return {
        "kills": kills,
        "commands": len(seen.positions),
        "unanswered": seen.unanswered,
        "committed_but_unanswered": seen.committed_unanswered,
        "refused": len(seen.refusals),
        **figures,
        "passed": figures["not_exactly_once"] == 0
        and not seen.refusals
        and seen.committed_unanswered > 0,
    }


def _stop_after_a_commit(product: products.Product, seen: Clients) -> None:
    """Stop the process where the log holds a command that nobody answered, if one is found."""
    until = time.monotonic() + _COMMIT_WITHIN
    while time.monotonic() < until:
        os.kill(product.pid, signal.SIGSTOP)
        time.sleep(_ON_THE_WAY)
        if _is_recorded(product.dsn, seen.waiting()):
            return
        os.kill(product.pid, signal.SIGCONT)
        time.sleep(random.uniform(0, _ON_THE_WAY))  # noqa: S311  any moment


def _add_member(http: httpx.Client, product: products.Product, project: str, seen: Clients) -> None:
    """Ask for one thing until it is answered."""
    subject = key = uuid.uuid4().hex
    given = {"project": project, "subject": subject, "role": "VIEWER", "idempotencyKey": key}
    seen.positions[subject] = []

    def answer() -> bool:
        try:
            response = http.post(
                f"{product.url}/graphql",
                json={"query": _MUTATION, "variables": {"input": given}},
                headers={"Authorization": f"Bearer {product.token}"},
            )
        except httpx.ConnectError:  # nothing was sent
            time.sleep(_BETWEEN_TRIES)
            return False
        except httpx.TransportError:
            seen.unanswered += 1
            seen.committed_unanswered += _is_recorded(product.dsn, [subject])
            return False
        outcome = response.json()["data"]["addMember"]
        if "position" in outcome:
            seen.positions[subject].append(int(outcome["position"]))
        else:
            seen.refusals.append(outcome)
        return True

    products.until(answer, "somebody answers", seconds=_PATIENCE)


def _is_recorded(dsn: str, subjects: list[str]) -> bool:
    """Tell whether the log holds one of them."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT 1 FROM ledger.events WHERE state ->> 'subject' = ANY(%s) LIMIT 1", [subjects]
        )
        return found.fetchone() is not None


def _counted(dsn: str, seen: Clients) -> dict[str, int]:
    """Compare the log with the answers: each subject was added once, where its clients heard."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT state ->> 'subject', array_agg(position) FROM ledger.events"
            " WHERE topic = 'MemberAdded' GROUP BY 1"
        ).fetchall()
        [(events, last, head)] = connection.execute(
            "SELECT count(*), max(e.position), min(h.position)"
            " FROM ledger.events AS e CROSS JOIN ledger.head AS h"
        ).fetchall()
    recorded = dict(rows)
    return {
        "not_exactly_once": sum(
            1 for subject, heard in seen.positions.items() if recorded.get(subject) != heard
        ),
        "events": events,
        "last_position": last,
        "head": head,
    }


def main() -> None:
    """Run it at full size."""
    with (
        ground.prepared() as place,
        tempfile.TemporaryDirectory(prefix="servicebook-faults-") as directory,
        products.prepared(
            server=place.address,
            template=embedded.LEDGER_DATABASE,
            directory=Path(directory),
            settings={},
        ) as product,
    ):
        product.start()
        ground.report(run(product, kills=50, clients=8))


if __name__ == "__main__":
    main()
