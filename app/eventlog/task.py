"""Work for later, which mostly follows from an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types import json

QUEUE = "servicebook"
"""The queue that workers of this product serve."""


@dataclass(frozen=True)
class Task:
    """A task by name, for a worker: at once, or from `run_at` on."""

    name: str
    args: Mapping[str, str]
    run_at: datetime | None = None


_ENQUEUE = """
    SELECT public.procrastinate_defer_jobs_v1(ARRAY[ROW(
        %s, %s, 0, NULL, NULL, %s, %s)::public.procrastinate_job_to_defer_v1])
"""


async def enqueue(connection: psycopg.AsyncConnection[Any], task: Task) -> None:
    """Enqueue a task that follows from no event, in the transaction of the connection."""
    args = json.Jsonb(dict(task.args))
    await connection.execute(_ENQUEUE, [QUEUE, task.name, args, task.run_at])
