"""What waits, runs and is put off: the tasks of the queue, for whoever operates it."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from app.eventlog.task import QUEUE

_TASKS = """
    SELECT j.task_name AS name,
        CASE WHEN j.status = 'doing' THEN 'runs'
             WHEN j.scheduled_at > now() THEN 'delayed'
             WHEN j.status = 'todo' THEN 'waits'
             ELSE j.status::text END AS state,
        coalesce('svc_' || replace(j.args ->> 'service_instance_id', '-', ''),
            'dep_' || replace(j.args ->> 'deployment_id', '-', ''),
            'env_' || replace(j.args ->> 'environment_id', '-', ''), '') AS subject,
        coalesce((j.args ->> 'attempt')::int, 1) + coalesce(t.failures, 0) AS attempt,
        CASE WHEN j.status = 'todo' THEN j.scheduled_at END AS next_try_at,
        coalesce(t.error, s.operation_error_message, d.delay_message, '') AS last_error
    FROM procrastinate_jobs AS j
    LEFT JOIN work.troubles AS t ON t.job_id = j.id
    LEFT JOIN read.service_instances AS s ON j.task_name = 'perform_operation'
        AND s.id = (j.args ->> 'service_instance_id')::uuid
        AND s.operation_attempt = (j.args ->> 'attempt')::int
    LEFT JOIN read.deployments AS d ON j.task_name = 'release'
        AND d.id = (j.args ->> 'deployment_id')::uuid
    WHERE j.queue_name = %(queue)s AND j.status IN ('todo', 'doing', 'failed')
    ORDER BY j.status = 'doing' DESC, j.scheduled_at NULLS FIRST, j.id
    LIMIT %(limit)s
"""


@dataclasses.dataclass(frozen=True)
class TaskInHand:
    """A task that is not done yet; `subject` is the id of what it is about."""

    name: str
    state: str
    subject: str
    attempt: int
    next_try_at: datetime | None
    last_error: str


async def tasks_in_hand(*, conninfo: str, limit: int) -> Sequence[TaskInHand]:
    """Return what runs, then what waits, the next one first."""
    async with (
        await psycopg.AsyncConnection.connect(conninfo) as connection,
        connection.cursor(row_factory=class_row(TaskInHand)) as cursor,
    ):
        await cursor.execute(_TASKS, {"queue": QUEUE, "limit": limit})
        return await cursor.fetchall()
