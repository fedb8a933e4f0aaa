import psycopg
import psycopg_pool
import pytest

from app.work import run

pytestmark = pytest.mark.anyio

_TAKEN = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('work', 'task', 'doing')
    RETURNING id
"""
_SWEPT = "SELECT procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL) FROM procrastinate_jobs"
_TAKEN_AGAIN = "UPDATE procrastinate_jobs SET status = 'doing'"


@pytest.mark.parametrize(
    ("since", "is_given_away"),
    [
        ([], False),
        ([_SWEPT], True),
        ([_SWEPT, _TAKEN_AGAIN], True),
        (["DELETE FROM procrastinate_jobs"], True),
    ],
    ids=["nothing", "swept", "taken by another one", "done by another one"],
)
async def test_a_task_that_another_worker_was_given_knows(
    database: str, since: list[bytes], *, is_given_away: bool
) -> None:
    with psycopg.connect(database) as connection:
        row = connection.execute(_TAKEN).fetchone()
        assert row is not None
        run.begins(job_id=row[0], starts=0)
        for statement in since:
            connection.execute(statement)

    async with psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False) as pool:
        assert await run.is_given_away(pool) == is_given_away


async def test_what_is_no_task_is_nobody_elses(database: str) -> None:
    async with psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False) as pool:
        assert not await run.is_given_away(pool)
