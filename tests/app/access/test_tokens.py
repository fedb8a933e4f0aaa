import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import psycopg_pool
import pytest

from app.access import caller, last_use, sign_in, tokens
from app.application.request import Request
from app.application.tokens import Tokens, Wanted
from domain import errors

pytestmark = pytest.mark.anyio

Pool = psycopg_pool.AsyncConnectionPool[Any]
Command = Callable[..., Request]

WANTED = Wanted(subject="ada", name="laptop")


async def authenticate(pool: Pool, token: str) -> caller.Caller | None:
    async with pool.connection() as connection:
        token_hash = tokens.hash_of(token)
        if token_hash is None:
            return None
        [found] = await tokens.callers(connection=connection, hashes=[token_hash])
        return None if found is None else found.caller


async def made(use_cases: Tokens, wanted: Wanted, request: Request) -> tuple[uuid.UUID, str]:
    token_id, token, _ = await use_cases.create(request=request, wanted=wanted)
    assert token is not None
    return token_id, token


async def test_a_token_speaks_for_its_subject(
    pool: Pool, use_cases: Tokens, command: Command
) -> None:
    token_id, token = await made(use_cases, WANTED, command())

    found = await authenticate(pool, token)

    assert found == caller.Caller(
        subject="ada", name="laptop", token_id=f"tok_{token_id.hex}", roles=frozenset()
    )
    assert token.startswith("sbk_")
    assert len(token) >= 47


async def test_the_token_itself_is_nowhere(pool: Pool, use_cases: Tokens, command: Command) -> None:
    _, token = await made(use_cases, WANTED, command())

    async with pool.connection() as connection:
        found = await connection.execute(
            "SELECT row_to_json(t)::text FROM access.tokens AS t UNION ALL"
            " SELECT row_to_json(e)::text FROM ledger.events AS e UNION ALL"
            " SELECT row_to_json(c)::text FROM ledger.commands AS c"
        )
        everything = str(await found.fetchall())

    assert token.removeprefix("sbk_") not in everything
    assert "TokenCreated" in everything


@pytest.mark.parametrize(
    "token", ["", "sbk_", "sbk_unknown", "secret", "sbk_" + "x" * 100_000, "sbk_\ud800"]
)
async def test_an_unknown_token_speaks_for_nobody(pool: Pool, token: str) -> None:
    assert await authenticate(pool, token) is None


async def test_an_expired_token_speaks_for_nobody(
    pool: Pool, use_cases: Tokens, command: Command
) -> None:
    brief = Wanted(subject="ada", name="brief", lifetime=timedelta(seconds=0.3))
    _, token = await made(use_cases, brief, command())
    assert await authenticate(pool, token) is not None

    async with asyncio.timeout(10):
        while await authenticate(pool, token) is not None:
            pass


async def test_a_revoked_token_speaks_for_nobody(
    pool: Pool, use_cases: Tokens, command: Command
) -> None:
    token_id, token = await made(use_cases, WANTED, command())

    await use_cases.revoke(request=command("revokeToken"), token_id=token_id)
    await use_cases.revoke(request=command("revokeToken"), token_id=token_id)

    assert await authenticate(pool, token) is None


async def test_a_hash_that_the_log_does_not_tell_of_opens_nothing(pool: Pool) -> None:
    token = tokens.new()
    async with pool.connection() as connection:
        await tokens.keep(connection=connection, token_id=uuid.uuid4(), token=token)

    assert await authenticate(pool, token) is None


async def test_a_repeated_command_does_not_tell_the_token_again(
    pool: Pool, use_cases: Tokens, command: Command
) -> None:
    first_id, token = await made(use_cases, WANTED, command(idempotency_key="once"))

    again_id, nothing, _ = await use_cases.create(
        request=command(idempotency_key="once"), wanted=WANTED
    )

    assert (again_id, nothing) == (first_id, None)
    assert await authenticate(pool, token) is not None


NOWHERE = frozenset({uuid.UUID(int=5)})
OPERATOR, AUDITOR, VIEWER = caller.Role.OPERATOR, caller.Role.AUDITOR, caller.Role.VIEWER


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (Wanted(subject="", name="x"), "subject"),
        (Wanted(subject=" ada", name="x"), "subject"),
        (Wanted(subject="ada\nkey", name="x"), "subject"),
        (Wanted(subject="servicebook", name="x"), "subject"),
        (Wanted(subject="receiver of the webhook", name="x"), "subject"),
        (Wanted(subject="a" * 256, name="x"), "subject"),
        (Wanted(subject="ada", name=" "), "name"),
        (Wanted(subject="ada", name="x", roles=frozenset({VIEWER})), "roles"),
        (Wanted(subject="ada", name="x", roles=frozenset({OPERATOR, AUDITOR})), "roles"),
        (Wanted(subject="ada", name="x", roles=frozenset({AUDITOR}), projects=NOWHERE), "roles"),
        (Wanted(subject="ada", name="x", expires_at=datetime(2020, 1, 1, tzinfo=UTC)), "expiresAt"),
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(
    use_cases: Tokens, command: Command, wanted: Wanted, path: str
) -> None:
    with pytest.raises(errors.InputRefusedError) as refused:
        await use_cases.create(request=command(), wanted=wanted)

    assert refused.value.problems[0].path == path


async def test_a_token_for_a_project_that_is_not_there_is_refused(
    use_cases: Tokens, command: Command
) -> None:
    wanted = Wanted(subject="ada", name="x", roles=frozenset({VIEWER}), projects=NOWHERE)

    with pytest.raises(errors.NotFoundRefusedError, match="no such project"):
        await use_cases.create(request=command(), wanted=wanted)


async def test_last_use_is_written_now_and_then(
    pool: Pool, use_cases: Tokens, command: Command
) -> None:
    _, token = await made(use_cases, WANTED, command())
    signing_in = sign_in.SignIn(pool=pool, provider=None, is_beta_over=False)

    for _ in range(50):
        assert await signing_in.authenticate(token) is not None
    await signing_in.aclose()
    [(first, written)] = await last_uses(pool)
    assert first is not None

    for _ in range(50):
        assert await signing_in.authenticate(token) is not None
    await signing_in.aclose()

    assert await last_uses(pool) == [(first, written)]


async def test_the_last_use_never_goes_back(
    pool: Pool, use_cases: Tokens, command: Command
) -> None:
    token_id, _ = await made(use_cases, WANTED, command())
    noting = last_use.LastUse(pool=pool, seconds=0)

    noting.note(token_id)
    await noting.aclose()
    [(first, _)] = await last_uses(pool)
    noting.note(token_id)
    await noting.aclose()
    [(second, _)] = await last_uses(pool)

    assert first < second


async def test_a_use_that_comes_while_others_are_written_is_written_too(
    pool: Pool, use_cases: Tokens, command: Command, database: str
) -> None:
    first, _ = await made(use_cases, WANTED, command())
    second, _ = await made(use_cases, WANTED, command())
    noting = last_use.LastUse(pool=pool)

    async with held_up(database):
        noting.note(first)
        await until_held_up(database)
        noting.note(second)

    async with asyncio.timeout(10):
        while not all(at for at, _ in await last_uses(pool)):
            pass
    await noting.aclose()


async def test_a_use_that_is_being_written_at_the_end_is_not_lost(
    pool: Pool, use_cases: Tokens, command: Command, database: str
) -> None:
    token_id, _ = await made(use_cases, WANTED, command())
    noting = last_use.LastUse(pool=pool)

    async with held_up(database):
        noting.note(token_id)
        await until_held_up(database)
        closing = asyncio.create_task(noting.aclose())
        await asyncio.wait([closing], timeout=0.5)
    await closing

    [(written_at, _)] = await last_uses(pool)
    assert written_at is not None


@contextlib.asynccontextmanager
async def held_up(database: str) -> AsyncIterator[None]:
    """Let nobody change what is kept of tokens until the end of the block."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("SELECT 1 FROM access.tokens FOR UPDATE")
        yield


async def until_held_up(database: str) -> None:
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        async with asyncio.timeout(10):
            while await (await connection.execute(waits)).fetchone() is None:
                pass


async def last_uses(pool: Pool) -> list[tuple[datetime, str]]:
    """Return when tokens were used last, with what tells one write from another."""
    async with pool.connection() as connection:
        rows = await connection.execute("SELECT last_used_at, xmin::text FROM access.tokens")
        return await rows.fetchall()


@pytest.mark.parametrize("actor", [caller.PROGRAM, caller.RECEIVER, caller.COMMAND_LINE])
def test_every_system_actor_is_kept_from_tokens(actor: str) -> None:
    assert not caller.is_subject(actor)
