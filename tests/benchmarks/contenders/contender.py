"""What is compared: callers that each wait for their command before they send the next."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol

SERVICES = 1_000
"""Aggregates that commands are sent to; each caller has its own share."""

MOST_CALLERS = 64


@dataclasses.dataclass(frozen=True)
class Measured:
    """How long each command took, in seconds, and all of them together.

    `processor` is the time that all processors spent on it, client and server.
    """

    latencies: Sequence[float]
    seconds: float
    processor: float = 0.0

    @property
    def per_second(self) -> float:
        """Commands a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Return a latency in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[math.ceil(len(ordered) * percent / 100) - 1] * 1000


class Contender(Protocol):
    """One way to carry commands out, on a database of its own."""

    name: str

    def prepare(self, conninfo: str) -> None:
        """Make the aggregates."""
        ...

    def run(self, *, callers: int, seconds: float) -> Measured:
        """Let callers attach and detach services for some time."""
        ...

    def finish(self) -> None:
        """Check that everything that was answered is there, and let go of the database."""
        ...
