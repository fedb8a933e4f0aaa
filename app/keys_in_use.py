"""Which keys a database is sealed with: the key ring that a process opens must have them.

The row of `vault.key_ring` names one of the ring's keys before anything is sealed, and the new one
after a rotation. So no other ring is ever made for a database that has one.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
from psycopg import rows

from app import key_ring, secrets

_Connection = psycopg.AsyncConnection[rows.TupleRow]

_LOCK = "LOCK TABLE vault.key_ring IN SHARE ROW EXCLUSIVE MODE"
_IN_USE = """
    SELECT key_id FROM vault.key_ring
    UNION SELECT key_id FROM vault.credentials
    UNION SELECT key_id FROM vault.person_keys
"""
_BEGIN = "INSERT INTO vault.key_ring (key_id) VALUES (%s) ON CONFLICT DO NOTHING"
_FOLLOW = "UPDATE vault.key_ring SET key_id = %s"


async def open_ring(*, pool: secrets.Pool, file: Path) -> key_ring.KeyRing:
    """Return the key ring of the database; made, if the database has none. Raises SecretsError."""
    async with _alone(pool) as connection:
        ring = key_ring.KeyRing.open(file, in_use=await _in_use(connection))
        await connection.execute(_BEGIN, [ring.primary])
    return ring


async def rotate(*, pool: secrets.Pool, ring: key_ring.KeyRing) -> None:
    """Seal with a new key from now on. Raises SecretsError, and makes none, if the ring lacks one.

    It may: whoever rotated a copy of the ring was first.
    """
    async with _alone(pool) as connection:
        ring.require(await _in_use(connection))
        await connection.execute(_FOLLOW, [ring.rotate()])


@contextlib.asynccontextmanager
async def _alone(pool: secrets.Pool) -> AsyncIterator[_Connection]:
    """Let one process at a time compare its ring with the database."""
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(_LOCK)
        yield connection


async def _in_use(connection: _Connection) -> list[str]:
    found = await (await connection.execute(_IN_USE)).fetchall()
    return [key_id for (key_id,) in found]
