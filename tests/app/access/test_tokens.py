from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from app.access import caller, tokens

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connection(database: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(database) as opened:
        yield opened


async def test_a_token_speaks_for_its_subject(connection: psycopg.AsyncConnection) -> None:
    token = await tokens.create(connection=connection, subject="ada", name="laptop")

    found = await tokens.authenticate(connection=connection, token=token)

    assert found is not None
    assert (found.subject, found.name) == ("ada", "laptop")
    assert found.roles == {caller.Role.OPERATOR}
    assert token.startswith("sbk_")
    assert len(token) >= 47


async def test_the_token_itself_is_not_kept(connection: psycopg.AsyncConnection) -> None:
    token = await tokens.create(connection=connection, subject="ada", name="laptop")

    rows = await connection.execute("SELECT row_to_json(tokens)::text FROM access.tokens")

    assert token.removeprefix("sbk_") not in str(await rows.fetchall())


@pytest.mark.parametrize("token", ["", "sbk_", "sbk_unknown", "secret", "sbk_" + "x" * 100_000])
async def test_an_unknown_token_speaks_for_nobody(
    connection: psycopg.AsyncConnection, token: str
) -> None:
    assert await tokens.authenticate(connection=connection, token=token) is None


async def test_an_expired_token_speaks_for_nobody(connection: psycopg.AsyncConnection) -> None:
    expired = await tokens.create(
        connection=connection, subject="ada", name="old", lifetime=timedelta(seconds=-1)
    )
    valid = await tokens.create(
        connection=connection, subject="ada", name="new", lifetime=timedelta(hours=1)
    )

    assert await tokens.authenticate(connection=connection, token=expired) is None
    assert await tokens.authenticate(connection=connection, token=valid) is not None


async def test_a_revoked_token_speaks_for_nobody(connection: psycopg.AsyncConnection) -> None:
    token = await tokens.create(connection=connection, subject="ada", name="lost")
    found = await tokens.authenticate(connection=connection, token=token)
    assert found is not None

    await tokens.revoke(connection=connection, token_id=found.token_id)

    assert await tokens.authenticate(connection=connection, token=token) is None
