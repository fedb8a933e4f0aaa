"""A database has one key ring, and a process with another one does not start."""

import asyncio
import json
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import psycopg_pool
import pytest

from app import bootstrap, key_ring, keys_in_use, personal_texts, secrets, settings
from app import database as databases

pytestmark = pytest.mark.anyio

CREDENTIALS = {"password": "planted-secret"}
ROW = "SELECT key_id FROM vault.key_ring"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


@pytest.fixture
def another(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "keyring.json"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[secrets.Pool]:
    async with psycopg_pool.AsyncConnectionPool(database, min_size=1, max_size=4) as pool:
        yield pool


async def opened(pool: secrets.Pool, file: Path) -> key_ring.KeyRing:
    return await keys_in_use.open_ring(pool=pool, file=file)


async def seal_some(pool: secrets.Pool, ring: key_ring.KeyRing, *, count: int = 1) -> None:
    """Seal credentials, and the keys of people who never wrote before."""
    vault = secrets.Vault(pool=pool, keys=ring)
    texts = personal_texts.PersonalTexts(pool=pool, keys=ring)
    for number in range(count):
        await vault.replace(service_instance_id=uuid.uuid4(), version=1, credentials=CREDENTIALS)
        await texts.seal("why", subject=f"{ring.primary} {number}", place=uuid.uuid4())


async def rotate(database: str, file: Path) -> int:
    return await bootstrap.rotate_keys(
        settings=settings.Settings(keyring=file),
        found=databases.Database(ledger_dsn=database, provider_dsn=None, provider_address=None),
        progress=lambda _: None,
    )


def execute(database: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def move(file: Path, *, to: Path) -> None:
    file.rename(to)


def merge(file: Path, *, into: Path) -> None:
    document = json.loads(into.read_text())
    document["keys"] |= json.loads(file.read_text())["keys"]
    into.write_text(json.dumps(document))


def rings_below(directory: Path) -> list[Path]:
    return list(directory.rglob("keyring.json"))


def keys_of(file: Path) -> set[str]:
    return set(json.loads(file.read_text())["keys"])


def forget_key(file: Path, key_id: str) -> None:
    document = json.loads(file.read_text())
    del document["keys"][key_id]
    file.write_text(json.dumps(document))


async def test_no_ring_is_made_for_a_database_that_has_one(
    pool: secrets.Pool, path: Path, another: Path
) -> None:
    """Nothing is sealed yet: the first start alone says which ring it is."""
    ring = await opened(pool, path)

    with pytest.raises(key_ring.KeyRingReplacedError, match=ring.primary) as caught:
        await opened(pool, another)

    assert f"{another} (SERVICEBOOK_KEYRING) is not there" in caught.value.message
    assert not another.parent.exists()
    assert (await opened(pool, path)).primary == ring.primary


async def test_a_ring_that_was_moved_away_is_not_replaced(
    pool: secrets.Pool, path: Path, tmp_path: Path
) -> None:
    ring = await opened(pool, path)
    move(path, to=tmp_path / "moved")

    with pytest.raises(key_ring.KeyRingReplacedError, match="put back the key ring"):
        await opened(pool, path)
    move(tmp_path / "moved", to=path)

    assert (await opened(pool, path)).primary == ring.primary


async def test_a_ring_of_something_else_is_refused(
    pool: secrets.Pool, path: Path, another: Path
) -> None:
    ring = await opened(pool, path)
    key_ring.KeyRing.open(another)

    with pytest.raises(key_ring.KeyRingReplacedError, match=ring.primary) as caught:
        await opened(pool, another)

    assert f"{another} (SERVICEBOOK_KEYRING) does not have" in caught.value.message


async def test_processes_that_start_at_once_share_a_ring(
    pool: secrets.Pool, path: Path, database: str
) -> None:
    rings = await asyncio.gather(*(opened(pool, path) for _ in range(4)))

    assert len({ring.primary for ring in rings}) == 1
    assert execute(database, ROW) == [(rings[0].primary,)]


async def test_of_processes_that_start_at_once_with_different_rings_one_goes_on(
    pool: secrets.Pool, path: Path, another: Path, tmp_path: Path, database: str
) -> None:
    results = await asyncio.gather(
        opened(pool, path), opened(pool, another), return_exceptions=True
    )

    [ring] = [each for each in results if isinstance(each, key_ring.KeyRing)]
    assert sum(isinstance(each, key_ring.KeyRingReplacedError) for each in results) == 1
    assert execute(database, ROW) == [(ring.primary,)]
    assert len(rings_below(tmp_path)) == 1


@pytest.mark.parametrize("lack", ["DELETE FROM vault.credentials", "DELETE FROM vault.person_keys"])
async def test_a_database_from_before_keeps_the_ring_that_sealed_in_it(
    pool: secrets.Pool, path: Path, another: Path, database: str, lack: str
) -> None:
    ring = key_ring.KeyRing.open(path)
    await seal_some(pool, ring)
    execute(database, lack)

    with pytest.raises(key_ring.KeyRingReplacedError, match=ring.primary):
        await opened(pool, another)
    before = execute(database, ROW)
    await opened(pool, path)

    assert (before, execute(database, ROW)) == ([], [(ring.primary,)])


async def test_every_key_that_sealed_something_is_needed(
    pool: secrets.Pool, path: Path, another: Path
) -> None:
    """As a start with a wrong ring once left it; with the keys of both it goes on."""
    ring, stray = key_ring.KeyRing.open(path), key_ring.KeyRing.open(another)
    await seal_some(pool, ring)
    await seal_some(pool, stray)

    with pytest.raises(key_ring.KeyRingReplacedError, match=stray.primary):
        await opened(pool, path)
    merge(another, into=path)

    assert (await opened(pool, path)).primary == ring.primary


async def test_after_a_rotation_the_former_key_may_be_deleted(
    pool: secrets.Pool, path: Path, database: str
) -> None:
    former = (await opened(pool, path)).primary

    count = await rotate(database, path)
    forget_key(path, former)

    ring = await opened(pool, path)
    assert (count, execute(database, ROW)) == (0, [(ring.primary,)])
    assert ring.primary != former


async def test_a_rotation_seals_everything_anew(
    pool: secrets.Pool, path: Path, database: str
) -> None:
    ring = await opened(pool, path)
    former = ring.primary
    await seal_some(pool, ring, count=3)

    assert await rotate(database, path) == 6
    forget_key(path, former)
    assert await rotate(database, path) == 6


@pytest.mark.parametrize(
    "damage",
    [
        (
            "UPDATE vault.credentials SET key_id = 'lost' WHERE service_instance_id ="
            " (SELECT max(service_instance_id::text)::uuid FROM vault.credentials)"
        ),
        (
            "UPDATE vault.credentials SET version = 9 WHERE service_instance_id ="
            " (SELECT max(service_instance_id::text)::uuid FROM vault.credentials)"
        ),
        (
            "UPDATE vault.person_keys SET key_id = 'lost' WHERE id ="
            " (SELECT max(id::text)::uuid FROM vault.person_keys)"
        ),
        (
            "UPDATE vault.person_keys SET person_id = gen_random_uuid() WHERE id ="
            " (SELECT max(id::text)::uuid FROM vault.person_keys)"
        ),
    ],
)
async def test_a_rotation_that_cannot_open_everything_makes_no_key(
    pool: secrets.Pool, path: Path, database: str, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Not even if it is the last of them."""
    for module in (secrets, personal_texts):
        monkeypatch.setattr(module, "_BATCH", 2)
    ring = await opened(pool, path)
    await seal_some(pool, ring, count=5)
    execute(database, damage)

    for _ in range(2):
        with pytest.raises(secrets.SecretsError):
            await rotate(database, path)

    assert keys_of(path) == {ring.primary}
    assert execute(database, ROW) == [(ring.primary,)]


async def test_a_copy_that_was_rotated_is_rotated_no_further(
    pool: secrets.Pool, path: Path, another: Path, database: str
) -> None:
    """Both would seal with a key that the other does not have."""
    ring = await opened(pool, path)
    another.parent.mkdir()
    shutil.copy2(path, another)
    await rotate(database, another)

    with pytest.raises(key_ring.KeyRingReplacedError):
        await keys_in_use.rotate(pool=pool, ring=ring)

    assert keys_of(path) == {ring.primary}
    assert ring.primary in keys_of(another)


def test_a_place_where_no_ring_can_be_made_is_told(path: Path) -> None:
    path.write_text("a file, no directory")

    with pytest.raises(key_ring.KeyRingError, match=str(path / "keyring.json")):
        key_ring.KeyRing.open(path / "keyring.json")
