"""Work that follows from an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

QUEUE = "servicebook"
"""The queue that workers of this product serve."""


@dataclass(frozen=True)
class Task:
    """A task by name, for a worker: at once, or from `run_at` on."""

    name: str
    args: Mapping[str, str]
    run_at: datetime | None = None
