"""Keeps the credentials of services, sealed; the event log holds references to them only.

A row is sealed with AES-256-GCM for its instance and version, so that it opens nowhere else.
The keys stand in a file, the key ring, outside the database: whoever holds a copy of one alone
holds nothing. Back up both, apart from each other; without the key ring the credentials are
lost.
"""

import json
import secrets as random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import psycopg
import psycopg_pool
from cryptography.exceptions import InvalidTag
from psycopg import rows

from app import key_ring
from app.eventlog import task

KeyRing = key_ring.KeyRing
SecretsError = key_ring.SecretsError
Pool: TypeAlias = psycopg_pool.AsyncConnectionPool[psycopg.AsyncConnection[rows.TupleRow]]

_BATCH = 200
_VERSIONS = 2**31 - 1  # as many as the column holds


class SealBrokenError(SecretsError):
    """What is stored was not sealed for this instance and version, or was changed."""

    def __init__(self, *, service_instance_id: UUID, version: int) -> None:
        super().__init__(
            code=key_ring.SecretsErrorCode.SEAL_BROKEN,
            message=f"the stored credentials {service_instance_id} version {version} were changed "
            "or belong to something else",
        )
        self.service_instance_id = service_instance_id
        self.version = version


class Vault:
    """The sealed credentials of all service instances, one row per instance and version."""

    def __init__(self, *, pool: Pool, keys: KeyRing) -> None:
        self._pool = pool
        self._keys = keys

    async def ensure(
        self,
        *,
        service_instance_id: UUID,
        version: int,
        make: Callable[[], Awaitable[Mapping[str, str]]],
    ) -> Mapping[str, str]:
        """Return what is stored, or store what `make` returns; racing callers get the same."""
        while True:
            found = await self.get(service_instance_id=service_instance_id, version=version)
            if found is not None:
                return found
            key_id, sealed = self._sealed(service_instance_id, version, await make())
            async with self._pool.connection() as connection:
                await connection.execute(
                    "INSERT INTO vault.credentials (service_instance_id, version, key_id, sealed)"
                    " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    (service_instance_id, version, key_id, sealed),
                )

    async def replace(
        self, *, service_instance_id: UUID, version: int, credentials: Mapping[str, str]
    ) -> None:
        """Store the credentials in place of what is stored, if anything is."""
        key_id, sealed = self._sealed(service_instance_id, version, credentials)
        async with self._pool.connection() as connection:
            await connection.execute(
                "INSERT INTO vault.credentials (service_instance_id, version, key_id, sealed)"
                " VALUES (%s, %s, %s, %s) ON CONFLICT (service_instance_id, version)"
                " DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed,"
                " created_at = excluded.created_at",
                (service_instance_id, version, key_id, sealed),
            )

    async def add(
        self,
        *,
        service_instance_id: UUID,
        credentials: Mapping[str, str],
        and_then: task.Task,
    ) -> int:
        """Store the credentials under a version of their own, and return it.

        The task is enqueued with them. The version is drawn by lot, so that one that was destroyed
        does not come back.
        """
        while True:
            version = 1 + random.randbelow(_VERSIONS)
            key_id, sealed = self._sealed(service_instance_id, version, credentials)
            async with self._pool.connection() as connection, connection.transaction():
                cursor = await connection.execute(
                    "INSERT INTO vault.credentials (service_instance_id, version, key_id, sealed)"
                    " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    (service_instance_id, version, key_id, sealed),
                )
                if cursor.rowcount:
                    await task.enqueue(connection, and_then)
                    return version

    async def get(self, *, service_instance_id: UUID, version: int) -> Mapping[str, str] | None:
        """Return the credentials, or None; raises SecretsError if they cannot be opened."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT key_id, sealed FROM vault.credentials"
                " WHERE service_instance_id = %s AND version = %s",
                (service_instance_id, version),
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        return _credentials(self._opened(service_instance_id, version, row[0], row[1]))

    async def stored_at(self, service_instance_id: UUID) -> Mapping[int, datetime]:
        """Return when each version of an instance was stored, the oldest first."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT version, created_at FROM vault.credentials"
                " WHERE service_instance_id = %s ORDER BY created_at",
                (service_instance_id,),
            )
            return dict(await cursor.fetchall())

    async def destroy(self, *, service_instance_id: UUID, version: int) -> None:
        """Delete one version; one that is not there is deleted already."""
        async with self._pool.connection() as connection:
            await connection.execute(
                "DELETE FROM vault.credentials WHERE service_instance_id = %s AND version = %s",
                (service_instance_id, version),
            )

    async def destroy_all(self, service_instance_id: UUID) -> None:
        """Delete every version of an instance."""
        async with self._pool.connection() as connection:
            await connection.execute(
                "DELETE FROM vault.credentials WHERE service_instance_id = %s",
                (service_instance_id,),
            )

    async def check(self) -> None:
        """Open all that is stored; raises SecretsError if something cannot be opened."""
        last = (UUID(int=0), 0)
        while found := await self._after(*last):
            for service_instance_id, version, key_id, sealed in found:
                self._opened(service_instance_id, version, key_id, sealed)
                last = (service_instance_id, version)

    async def rewrap(self) -> int:
        """Seal with the primary key whatever is sealed with another; returns how many rows."""
        count = 0
        while changed := await self._rewrap_batch():
            count += changed
        return count

    async def _after(self, service_instance_id: UUID, version: int) -> list[rows.TupleRow]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT service_instance_id, version, key_id, sealed FROM vault.credentials"
                " WHERE (service_instance_id, version) > (%s, %s)"
                " ORDER BY service_instance_id, version LIMIT %s",
                (service_instance_id, version, _BATCH),
            )
            return await cursor.fetchall()

    async def _rewrap_batch(self) -> int:
        self._keys.reload()  # else two processes could seal back and forth, each with its own
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "SELECT service_instance_id, version, key_id, sealed FROM vault.credentials"
                " WHERE key_id <> %s ORDER BY service_instance_id, version LIMIT %s FOR UPDATE",
                (self._keys.primary, _BATCH),
            )
            found = await cursor.fetchall()
            for service_instance_id, version, old_key_id, old in found:
                text = self._opened(service_instance_id, version, old_key_id, old)
                context = _context(service_instance_id, version)
                key_id, sealed = self._keys.seal(text, context=context)
                await connection.execute(
                    "UPDATE vault.credentials SET key_id = %s, sealed = %s"
                    " WHERE service_instance_id = %s AND version = %s",
                    (key_id, sealed, service_instance_id, version),
                )
        return len(found)

    def _sealed(
        self, service_instance_id: UUID, version: int, credentials: Mapping[str, str]
    ) -> tuple[str, bytes]:
        text = json.dumps(dict(credentials), sort_keys=True).encode()
        return self._keys.seal(text, context=_context(service_instance_id, version))

    def _opened(self, service_instance_id: UUID, version: int, key_id: str, sealed: bytes) -> bytes:
        context = _context(service_instance_id, version)
        try:
            return self._keys.unseal(sealed, key_id=key_id, context=context)
        except InvalidTag as error:
            raise SealBrokenError(
                service_instance_id=service_instance_id, version=version
            ) from error


def _context(service_instance_id: UUID, version: int) -> bytes:
    return f"{service_instance_id}|{version}".encode()


def _credentials(text: bytes) -> Mapping[str, str]:
    return {str(name): str(value) for name, value in json.loads(text).items()}
