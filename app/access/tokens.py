"""API tokens: made once, shown once, kept as a hash.

A token holds 256 random bits, so that its plain SHA-256 gives nothing away.
"""

import hashlib
import secrets
import uuid
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import rows

from app.access import caller

_PREFIX = "sbk_"
_LONGEST = 200  # nothing longer is a token, and need not be hashed

_Connection = psycopg.AsyncConnection[Any]


async def create(
    *,
    connection: _Connection,
    subject: str,
    name: str,
    lifetime: timedelta | None = None,
) -> str:
    """Make a token for the subject and return it; it cannot be read again."""
    token = _PREFIX + secrets.token_urlsafe(32)
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO access.tokens (id, hash, subject, name, expires_at)"
            " VALUES (%s, %s, %s, %s, now() + %s)",
            (uuid.uuid4(), _hash(token), subject, name, lifetime),
        )
    return token


async def authenticate(*, connection: _Connection, token: str) -> caller.Caller | None:
    """Return whoever the token speaks for, or None if it is unknown, expired or revoked."""
    if not token.startswith(_PREFIX) or len(token) > _LONGEST:
        return None
    async with connection.cursor(row_factory=rows.tuple_row) as cursor:
        await cursor.execute(
            "SELECT id, subject, name FROM access.tokens WHERE hash = %s"
            " AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
            (_hash(token),),
        )
        found = await cursor.fetchone()
    if found is None:
        return None
    token_id, subject, name = found
    roles = frozenset({caller.Role.OPERATOR})
    return caller.Caller(subject=subject, name=name, token_id=token_id, roles=roles)


async def revoke(*, connection: _Connection, token_id: uuid.UUID) -> None:
    """End a token at once; a revoked or unknown one stays as it is."""
    async with connection.transaction():
        await connection.execute(
            "UPDATE access.tokens SET revoked_at = now() WHERE id = %s AND revoked_at IS NULL",
            (token_id,),
        )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
