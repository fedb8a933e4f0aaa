import asyncio
import json
import multiprocessing
import stat
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import psycopg_pool
import pytest

from app import key_ring, secrets

pytestmark = pytest.mark.anyio

CREDENTIALS = {"uri": "postgresql://app:planted-secret@db/x", "password": "planted-secret"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "keyring.json"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[secrets.Pool]:
    async with psycopg_pool.AsyncConnectionPool(database, min_size=1, max_size=4) as pool:
        yield pool


@pytest.fixture
def vault(pool: secrets.Pool, path: Path) -> secrets.Vault:
    return secrets.Vault(pool=pool, keys=secrets.KeyRing.open(path))


def lose(path: Path) -> None:
    path.unlink()


def forget_key(path: Path, key_id: str) -> None:
    document = json.loads(path.read_text())
    del document["keys"][key_id]
    path.write_text(json.dumps(document))


async def stored(vault: secrets.Vault, *, version: int = 1) -> uuid.UUID:
    service_instance_id = uuid.uuid4()
    await vault.replace(
        service_instance_id=service_instance_id, version=version, credentials=CREDENTIALS
    )
    return service_instance_id


async def test_credentials_come_back_as_they_were(vault: secrets.Vault) -> None:
    service_instance_id = await stored(vault)

    found = await vault.get(service_instance_id=service_instance_id, version=1)

    assert found == CREDENTIALS
    assert await vault.get(service_instance_id=service_instance_id, version=2) is None
    assert await vault.get(service_instance_id=uuid.uuid4(), version=1) is None


async def test_the_database_holds_no_readable_secret(vault: secrets.Vault, database: str) -> None:
    await stored(vault)

    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT sealed FROM vault.credentials").fetchall()
    assert rows
    assert all(b"secret" not in row[0] and b"uri" not in row[0] for row in rows)


async def test_the_same_text_is_never_sealed_alike(vault: secrets.Vault, database: str) -> None:
    service_instance_id = await stored(vault)
    query = "SELECT sealed FROM vault.credentials"
    with psycopg.connect(database, autocommit=True) as connection:
        before = connection.execute(query).fetchall()
        await vault.replace(
            service_instance_id=service_instance_id, version=1, credentials=CREDENTIALS
        )
        after = connection.execute(query).fetchall()

    assert before[0][0] != after[0][0]


async def test_ensuring_makes_once_and_keeps(vault: secrets.Vault) -> None:
    made = iter([{"password": "first"}, {"password": "second"}])
    where = {"service_instance_id": uuid.uuid4(), "version": 1}

    async def make() -> dict[str, str]:
        return next(made)

    first = await vault.ensure(**where, make=make)
    again = await vault.ensure(**where, make=make)

    assert first == again == {"password": "first"}
    assert next(made) == {"password": "second"}


async def test_racing_callers_get_the_same_secret(
    pool: secrets.Pool, path: Path, vault: secrets.Vault
) -> None:
    other = secrets.Vault(pool=pool, keys=secrets.KeyRing.open(path))

    async def make() -> dict[str, str]:
        return {"password": uuid.uuid4().hex}

    for _ in range(10):
        where = {"service_instance_id": uuid.uuid4(), "version": 1}

        results = await asyncio.gather(
            *(one.ensure(**where, make=make) for one in [vault, other] * 5)
        )

        assert len({result["password"] for result in results}) == 1


async def test_destroyed_credentials_are_gone(vault: secrets.Vault) -> None:
    service_instance_id = await stored(vault)
    for version in (2, 3):
        await vault.replace(
            service_instance_id=service_instance_id, version=version, credentials=CREDENTIALS
        )
    other = await stored(vault)

    for _ in range(2):
        await vault.destroy(service_instance_id=service_instance_id, version=1)
    gone = await vault.get(service_instance_id=service_instance_id, version=1)
    kept = await vault.get(service_instance_id=service_instance_id, version=2)
    await vault.destroy_all(service_instance_id)

    assert gone is None
    assert kept == CREDENTIALS
    assert await vault.get(service_instance_id=service_instance_id, version=3) is None
    assert await vault.get(service_instance_id=other, version=1) == CREDENTIALS


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE vault.credentials SET version = 9 WHERE version = 1",
        "UPDATE vault.credentials SET service_instance_id = gen_random_uuid() WHERE version = 1",
        "UPDATE vault.credentials SET sealed = set_bit(sealed, 0, 1 - get_bit(sealed, 0))",
        "UPDATE vault.credentials SET sealed = set_bit(sealed, 130, 1 - get_bit(sealed, 130))",
        "UPDATE vault.credentials SET sealed = substr(sealed, 1, length(sealed) - 1)",
        (
            "UPDATE vault.credentials AS a SET sealed = b.sealed FROM vault.credentials AS b"
            " WHERE a.version <> b.version"
        ),
    ],
)
async def test_a_row_that_was_changed_or_moved_does_not_open(
    vault: secrets.Vault, database: str, tampering: str
) -> None:
    await stored(vault)
    await stored(vault, version=2)

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(tampering)
        rows = connection.execute(
            "SELECT service_instance_id, version FROM vault.credentials ORDER BY xmin::text::int"
        ).fetchall()

    with pytest.raises(secrets.SealBrokenError) as caught:
        await vault.get(service_instance_id=rows[-1][0], version=rows[-1][1])
    assert str(rows[-1][0]) in caught.value.message
    assert "planted-secret" not in caught.value.message


async def test_a_lost_key_ring_is_told_with_the_name_of_the_key(
    pool: secrets.Pool, path: Path, vault: secrets.Vault
) -> None:
    service_instance_id = await stored(vault)
    lost = secrets.KeyRing.open(path).primary
    lose(path)
    vault = secrets.Vault(pool=pool, keys=secrets.KeyRing.open(path))

    with pytest.raises(key_ring.KeyMissingError, match=lost) as caught:
        await vault.get(service_instance_id=service_instance_id, version=1)
    with pytest.raises(key_ring.KeyMissingError, match=lost):
        await vault.rewrap()

    assert str(path) in caught.value.message


async def test_after_a_rotation_old_rows_open_and_are_sealed_anew(
    pool: secrets.Pool, path: Path, vault: secrets.Vault, database: str
) -> None:
    ids = [await stored(vault) for _ in range(3)]
    old = secrets.KeyRing.open(path).primary

    new = secrets.KeyRing.open(path).rotate()
    assert await vault.get(service_instance_id=ids[0], version=1) == CREDENTIALS
    rewrapped = [await vault.rewrap(), await vault.rewrap()]

    assert new != old
    assert rewrapped == [3, 0]
    with psycopg.connect(database) as connection:
        keys = connection.execute("SELECT DISTINCT key_id FROM vault.credentials").fetchall()
    assert keys == [(new,)]
    forget_key(path, old)
    fresh = secrets.Vault(pool=pool, keys=secrets.KeyRing.open(path))
    assert await fresh.get(service_instance_id=ids[2], version=1) == CREDENTIALS


async def test_what_another_process_sealed_after_a_rotation_opens(
    pool: secrets.Pool, path: Path, vault: secrets.Vault
) -> None:
    other_keys = secrets.KeyRing.open(path)
    other_keys.rotate()
    service_instance_id = await stored(secrets.Vault(pool=pool, keys=other_keys))

    found = await vault.get(service_instance_id=service_instance_id, version=1)

    assert found == CREDENTIALS


def test_after_a_rotation_elsewhere_the_new_key_seals(path: Path) -> None:
    running, rotating = secrets.KeyRing.open(path), secrets.KeyRing.open(path)
    old, _ = running.seal(b"text", context=b"place")

    new = rotating.rotate()
    key_id, sealed = running.seal(b"text", context=b"place")
    forget_key(path, old)

    assert key_id == new != old
    assert secrets.KeyRing.open(path).unseal(sealed, key_id=key_id, context=b"place") == b"text"


def test_a_ring_that_was_written_in_place_is_read_again(path: Path) -> None:
    """As by a copy from another machine: the same inode, and perhaps the same size."""
    running = secrets.KeyRing.open(path)
    text = path.read_text().replace(running.primary, "another1")

    path.write_text(text)
    key_id, _ = running.seal(b"text", context=b"place")

    assert key_id == "another1"


def test_nothing_is_sealed_with_a_ring_that_is_gone(path: Path) -> None:
    running = secrets.KeyRing.open(path)
    lose(path)

    with pytest.raises(key_ring.KeyRingError, match=str(path)):
        running.seal(b"text", context=b"place")


def test_the_key_ring_is_private_and_stays(path: Path) -> None:
    first = secrets.KeyRing.open(path).primary

    assert secrets.KeyRing.open(path).primary == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "keyring.json",
        "keyring.json.lock",
    ]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_ring_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    secrets.KeyRing.open(path)
    path.chmod(mode)

    with pytest.raises(key_ring.KeyRingError, match="chmod 600"):
        secrets.KeyRing.open(path)


def garble(path: Path) -> None:
    path.write_text('{"primary": "planted-secret"')


def shorten(path: Path) -> None:
    path.write_text('{"primary": "a", "keys": {"a": "cGxhbnRlZC1zZWNyZXQ="}}')


def misname(path: Path) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"primary": "another"}))


def empty(path: Path) -> None:
    path.write_text("")


def list_instead(path: Path) -> None:
    path.write_text('{"primary": ["a"], "keys": {}}')


def replace_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


@pytest.mark.parametrize(
    "damage", [garble, shorten, misname, empty, list_instead, replace_by_a_directory]
)
def test_a_damaged_key_ring_is_refused_and_not_shown(
    path: Path, damage: Callable[[Path], None]
) -> None:
    secrets.KeyRing.open(path)
    damage(path)

    with pytest.raises(key_ring.KeyRingError, match=str(path)) as caught:
        secrets.KeyRing.open(path)

    assert "secret" not in caught.value.message
    assert path.exists()


def test_processes_that_start_together_share_one_key(path: Path) -> None:
    start = multiprocessing.get_context("spawn")

    with start.Pool(4) as processes:
        primaries = processes.map(_primary_of, [path] * 16, chunksize=1)

    assert len(set(primaries)) == 1


def test_rotations_at_once_lose_no_key(path: Path) -> None:
    first = secrets.KeyRing.open(path).primary
    start = multiprocessing.get_context("spawn")

    with start.Pool(4) as processes:
        made = processes.map(_rotated, [path] * 8, chunksize=1)

    assert set(json.loads(path.read_text())["keys"]) == {first, *made}


def _primary_of(path: Path) -> str:
    return secrets.KeyRing.open(path).primary


def _rotated(path: Path) -> str:
    return secrets.KeyRing.open(path).rotate()
