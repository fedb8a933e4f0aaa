"""Workers that are killed, frozen and replaced, each over lines of its own to the providers.

They are the product's workers. They are forked from a process that has imported the product, since
one that is killed every 200 ms would die of its imports alone.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from psycopg import conninfo

from tests.hazards import faults, proxy, worker

IMPATIENT = 3.0
"""Seconds that every other worker waits for a provider, instead of a minute, to be seen to."""

_DSN = "SERVICEBOOK_POSTGRES_PROVIDER_DSN"
_REDIS = "SERVICEBOOK_REDIS_PROVIDER_URL"

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.hazards.worker", "tests.hazards.ground"])


@dataclasses.dataclass
class Slot:
    """The place of a worker, which one after the other takes."""

    number: int
    environment: dict[str, str]
    log: Path
    process: Any = None
    frozen_at: float | None = None
    frozen_over: str = ""
    """The service that it was at work on."""
    spared_until: float = 0.0

    @property
    def is_impatient(self) -> bool:
        return self.number % 2 == 0

    def start(self) -> None:
        self.process = _forks.Process(
            target=worker.work,
            args=(self.environment, str(self.log), IMPATIENT if self.is_impatient else None),
            daemon=True,
        )
        self.process.start()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)


class Fleet:
    """Some workers, and the one who kills them."""

    def __init__(
        self, *, size: int, environment: Mapping[str, str], directory: Path, plan: faults.Plan
    ) -> None:
        self._plan = plan
        self._lines = proxy.Lines()
        self._lock = threading.Lock()
        self._environment = dict(environment)
        self._directory = directory
        self.slots = [
            Slot(number=number, environment={}, log=directory / f"worker-{number}")
            for number in range(size)
        ]
        self.kills = 0
        self.exits = 0
        """How many workers ended though nobody killed them."""

    @contextlib.contextmanager
    def running(self) -> Iterator["Fleet"]:
        with self._lines.running():
            try:
                for slot in self.slots:
                    slot.environment = self._behind_lines(slot)
                    slot.start()
                yield self
            finally:
                for slot in self.slots:
                    if slot.process is not None:
                        slot.signal(signal.SIGKILL)
                        slot.process.join()

    @contextlib.contextmanager
    def killed(self, *, every: float) -> Iterator[None]:
        """Kill a worker at random, again and again, and start another in its place."""
        is_over = threading.Event()
        thread = threading.Thread(target=self._kill, args=(every, is_over))
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    @property
    def frozen(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.frozen_at is not None]

    def wake(self, slot: Slot) -> None:
        """Let a frozen worker go on, for a moment at least."""
        with self._lock:
            slot.frozen_at = None
            slot.spared_until = time.monotonic() + 1.0
            slot.signal(signal.SIGCONT)

    def output(self) -> str:
        return "\n".join(slot.log.read_text(errors="replace") for slot in self.slots)

    def replace_ended(self) -> None:
        """Start another worker where one has ended by itself."""
        with self._lock:
            for slot in self.slots:
                if not slot.process.is_alive():
                    self.exits += 1
                    slot.start()

    def _kill(self, every: float, is_over: threading.Event) -> None:
        due = time.monotonic() + every
        while not is_over.wait(max(0.0, due - time.monotonic())):
            due += every  # however long the last one took to replace
            self.replace_ended()
            with self._lock:
                now = time.monotonic()
                victims = [
                    slot
                    for slot in self.slots
                    if slot.frozen_at is None and slot.spared_until < now
                ]
                if victims:
                    self._replace(random.choice(victims))  # noqa: S311  any of them

    def _replace(self, slot: Slot) -> None:
        slot.signal(signal.SIGKILL)
        slot.process.join()
        self.kills += 1
        slot.start()

    def _behind_lines(self, slot: Slot) -> dict[str, str]:
        """Return settings by which the worker reaches the providers over lines of its own."""

        def watch(chunk: bytes) -> proxy.Fate:
            return self._happens(slot, chunk)

        changed: dict[str, str] = {}
        parts = conninfo.conninfo_to_dict(self._environment[_DSN])
        port = self._lines.open(host=str(parts["host"]), port=int(parts["port"]), watch=watch)
        changed[_DSN] = conninfo.make_conninfo("", **(parts | {"host": "127.0.0.1", "port": port}))
        if _REDIS in self._environment:
            start, _, rest = self._environment[_REDIS].rpartition(":")
            own, slash, database = rest.partition("/")
            port = self._lines.open(host="127.0.0.1", port=int(own), watch=watch)
            changed[_REDIS] = f"{start}:{port}{slash}{database}"
        return self._environment | changed

    def _happens(self, slot: Slot, chunk: bytes) -> proxy.Fate:
        """Let go wrong what the plan has for the instance that the worker speaks of."""
        # Only the impatient live long enough to see that no answer comes.
        kinds = set(faults.Kind) if slot.is_impatient else {faults.Kind.ZOMBIE}
        due = self._plan.due(chunk, kinds)
        if due is None:
            return proxy.Fate.PASS
        kind, service = due
        if kind is faults.Kind.ZOMBIE:
            if not self._freeze(slot, service):
                self._plan.put_back(service, kind)
            return proxy.Fate.PASS
        slot.spared_until = time.monotonic() + 2 * IMPATIENT
        return random.choice((proxy.Fate.LOSE, proxy.Fate.LOSE_ANSWERS))  # noqa: S311  either

    def _freeze(self, slot: Slot, service: str) -> bool:
        """Stop the process where it is, as a machine that is suspended; not twice at a time.

        Half of them stay awake: somebody has to take over the work of the frozen.
        """
        if slot.frozen_at is not None or not self._lock.acquire(blocking=False):
            return False
        try:
            if len(self.frozen) >= len(self.slots) // 2:
                return False
            slot.frozen_at, slot.frozen_over = time.monotonic(), service
            slot.signal(signal.SIGSTOP)
        finally:
            self._lock.release()
        return True


def say(message: str) -> None:
    """Tell whoever watches how far the run is; the result alone goes to standard output."""
    print(message, file=sys.stderr, flush=True)
