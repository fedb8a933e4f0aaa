"""Remembers which tasks broke, how often and where, until they are done."""

import traceback
from pathlib import Path
from typing import Any

import psycopg_pool

from app.work import pauses

_FIRST_PAUSE = 1.0  # seconds
_LONGEST_PAUSE = 300.0
_ROOT = Path(__file__).parents[2]

_BROKE = """
    INSERT INTO work.troubles (job_id, failures, error) VALUES (%s, 1, %s)
    ON CONFLICT (job_id) DO UPDATE
        SET failures = troubles.failures + 1, error = excluded.error, failed_at = now()
    RETURNING failures
"""


class Troubles:
    """The tasks that broke."""

    def __init__(self, *, pool: "psycopg_pool.AsyncConnectionPool[Any]") -> None:
        self._pool = pool

    async def note(self, job_id: int, error: Exception) -> float:
        """Remember that a task broke; return the seconds until it is tried again."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_BROKE, (job_id, describe(error)))
            row = await cursor.fetchone()
        failures = 1 if row is None else int(row[0])
        return pauses.growing(tries=failures, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)

    async def forget(self, job_id: int) -> None:
        """Forget a task that is done."""
        async with self._pool.connection() as connection:
            await connection.execute("DELETE FROM work.troubles WHERE job_id = %s", (job_id,))


def describe(error: BaseException) -> str:
    """Say what broke and where; the message of the error stays out, it could hold a secret."""
    ours = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(_ROOT)
        and "site-packages" not in Path(frame.filename).parts
    ]
    where = ""
    if ours:
        path = Path(ours[-1].filename).relative_to(_ROOT)
        where = f" in {path}:{ours[-1].lineno}"
    return f"{type(error).__name__}{where}"
