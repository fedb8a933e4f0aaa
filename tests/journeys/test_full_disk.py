"""A disk without room: what says so, and that it passes."""

import httpx
import psycopg
import pytest

from tests.hazards import full_disk
from tests.journeys.conftest import Launch
from tests.journeys.product import until

CREATE = 'mutation { createProject(input: { name: "p" }) { __typename } }'


@pytest.mark.parametrize("is_idle", [True, False])
def test_a_full_disk_is_told_until_there_is_room(launch: Launch, *, is_idle: bool) -> None:
    api = launch()
    ready = f"{api.product.url}/readyz"
    with psycopg.connect(api.product.dsn, autocommit=True) as connection:
        connection.execute(full_disk.FULL)

        [refused] = api.post(CREATE).json()["errors"]

        assert refused["extensions"]["code"] == "UNAVAILABLE"
        assert [httpx.get(ready).status_code for _ in range(3)] == [503] * 3
        assert api.product.output.count("No space left on device (SQLSTATE 53100)") == 1
        connection.execute(full_disk.ROOM)
        if not is_idle:
            assert "errors" not in api.post(CREATE).json()
        until(lambda: httpx.get(ready).status_code == httpx.codes.OK, "it is ready again")
    assert api.product.output.count("events are recorded again") == 1
