"""Which run of a task this is: one whose worker was taken for dead is run by another one.

Both may be at it then, and an operation's id and attempt are the same for both.
"""

import contextvars
from typing import Any

import psycopg_pool

_current: contextvars.ContextVar[tuple[int, int] | None] = contextvars.ContextVar(
    "run", default=None
)

# Whoever takes a task over counts a start, and deletes it when it is done.
_IS_OURS = """
    SELECT 1 FROM procrastinate_jobs WHERE id = %s AND attempts = %s AND status = 'doing'
"""


def begins(*, job_id: int, starts: int) -> None:
    """Note what runs in this context, and how often it was started before."""
    _current.set((job_id, starts))


async def is_given_away(pool: "psycopg_pool.AsyncConnectionPool[Any]") -> bool:
    """Tell whether another worker has been given what runs in this context."""
    run = _current.get()
    if run is None:
        return False
    async with pool.connection() as connection:
        cursor = await connection.execute(_IS_OURS, run)
        return await cursor.fetchone() is None
