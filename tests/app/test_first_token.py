import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from app import bootstrap, first_token, settings
from app import database as databases
from app.access import caller
from app.application import request, tokens

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def process(database: str, directory: Path, *, keys: Path) -> AsyncIterator[bootstrap.Parts]:
    """The program with its token in one place and its keys in another."""
    async with bootstrap.assembled(
        settings=settings.Settings(
            data_directory=directory,
            keyring=keys / "keyring.json",
            audit_key=keys / "audit_key.pem",
            audit_checkpoints=keys / "checkpoints",
        ),
        found=databases.Database(ledger_dsn=database, provider_dsn=None, provider_address=None),
        progress=lambda _: None,
    ) as parts:
        yield parts


def count_tokens(database: str) -> int:
    with psycopg.connect(database) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM read.api_tokens").fetchall()
        return int(count)


async def test_the_first_token_is_made_once_and_found_again(database: str, tmp_path: Path) -> None:
    place = tmp_path / "not" / "there"
    async with process(database, place, keys=tmp_path) as parts:
        made = await first_token.find_or_make(parts)
        found = await first_token.find_or_make(parts)
        assert made is not None
        who = await parts.sign_in.authenticate(made)

    assert found == made
    assert who is not None
    assert (who.subject, who.roles, who.is_in_beta) == ("admin", {caller.Role.OPERATOR}, True)
    assert [path.name for path in place.iterdir()] == ["token"]
    assert stat.S_IMODE((place / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(place.stat().st_mode) == 0o711
    assert count_tokens(database) == 1


async def test_a_log_with_an_operator_gets_no_first_token(database: str, tmp_path: Path) -> None:
    async with process(database, tmp_path / "fresh", keys=tmp_path) as parts:
        token_id, _, _ = await parts.application.tokens.create(
            request=request.Request(actor="root", name="createToken"),
            wanted=tokens.Wanted(
                subject="jane", name="rota", roles=frozenset({caller.Role.OPERATOR})
            ),
        )
        while_it_is_valid = await first_token.find_or_make(parts)
        await parts.application.tokens.revoke(
            request=request.Request(actor="root", name="revokeToken"), token_id=token_id
        )

        assert while_it_is_valid is None
        assert await first_token.find_or_make(parts) is None
    assert not (tmp_path / "fresh").exists()
    assert count_tokens(database) == 1


async def test_processes_that_start_at_once_make_one(database: str, tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("here", "there", "elsewhere")]
    async with contextlib.AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(process(database, place, keys=tmp_path))
            for place in places
        ]

        found = await asyncio.gather(*(first_token.find_or_make(parts) for parts in started))

        [token] = [each for each in found if each is not None]
        assert await started[0].sign_in.authenticate(token) is not None
    kept = [(place / "token").read_text() for place in places if (place / "token").exists()]
    assert kept == [f"{token}\n"]
    assert count_tokens(database) == 1


async def test_a_token_that_could_not_be_kept_is_not_made(database: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with process(database, tmp_path / "file" / "data", keys=tmp_path) as parts:
        with pytest.raises(first_token.TokenFileError, match="SERVICEBOOK_DATA_DIRECTORY"):
            await first_token.find_or_make(parts)

    assert count_tokens(database) == 0
