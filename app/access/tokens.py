"""API tokens: made once, shown once, kept as a hash.

A token holds 256 random bits, so that its plain SHA-256 gives nothing away. Whom it speaks for
is in the log (`read.api_tokens`); a hash that the log does not tell of opens nothing.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg

from app.access import caller
from app.eventlog import asking

PREFIX = "sbk_"
_LONGEST = 200  # nothing longer is a token, and need not be hashed
_ID = re.compile(r"tok_([0-9a-f]{32})")

_Connection = psycopg.AsyncConnection[Any]

# As `asking` says, it is planned once.
_FIND = b"""
    SELECT encode(asked.hash, 'hex'),
        t.id, t.subject, t.name, to_json(t.roles), to_json(t.projects),
        coalesce((SELECT 1 FROM read.people AS p
            WHERE p.subject = t.subject AND p.in_beta LIMIT 1), 0)
    FROM unnest((SELECT $1::bytea[])) AS asked (hash)
    CROSS JOIN LATERAL (SELECT id FROM access.tokens WHERE hash = asked.hash LIMIT 1) AS a
    CROSS JOIN LATERAL (SELECT * FROM read.api_tokens WHERE id = a.id LIMIT 1) AS t
    WHERE t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
"""
_KEEP = """
    INSERT INTO access.tokens AS a (id, hash) VALUES (%(id)s, %(hash)s)
    ON CONFLICT (id) DO UPDATE SET hash = excluded.hash
    WHERE NOT EXISTS (SELECT 1 FROM read.api_tokens AS t WHERE t.id = a.id)
"""
_IS_KEPT = "SELECT 1 FROM access.tokens WHERE id = %s AND hash = %s"


def new() -> str:
    """Return a new token."""
    return PREFIX + secrets.token_urlsafe(32)


async def keep(*, connection: _Connection, token_id: UUID, token: str) -> None:
    """Keep the hash of a token that the log is going to tell of; later, nothing changes it."""
    await connection.execute(_KEEP, {"id": token_id, "hash": _hash(token)})


async def is_kept(*, connection: _Connection, token_id: UUID, token: str) -> bool:
    """Is this the token of that id?"""
    cursor = await connection.execute(_IS_KEPT, [token_id, _hash(token)])
    return await cursor.fetchone() is not None


def hash_of(token: str) -> bytes | None:
    """Return the hash of a token; None if it cannot be one."""
    if not (token.startswith(PREFIX) and token.isascii() and len(token) <= _LONGEST):
        return None
    return _hash(token)


async def callers(
    *, connection: _Connection, hashes: Sequence[bytes]
) -> list[caller.Caller | None]:
    """Return whoever the tokens speak for; None for one that is unknown, expired or revoked."""
    given = asking.array([rf"\x{each.hex()}" for each in hashes])
    found = {row[0]: _caller(row[1:]) for row in await asking.ask(connection, _FIND, [given])}
    return [found.get(each.hex()) for each in hashes]


def _caller(row: asking.Row) -> caller.Caller:
    token_id, subject, name, roles, projects, is_in_beta = row
    return caller.Caller(
        subject=subject,
        name=name,
        token_id=shown_id(UUID(token_id)),
        roles=frozenset([caller.Role[role] for role in json.loads(roles)]),
        projects=frozenset([UUID(project) for project in json.loads(projects)]),
        is_in_beta=is_in_beta == "1",
    )


def shown_id(token_id: UUID) -> str:
    """Return the id of a token as people see it."""
    return f"tok_{token_id.hex}"


def parsed_id(text: str) -> UUID | None:
    """Return the id that people gave; None if it is none."""
    found = _ID.fullmatch(text)
    return None if found is None else UUID(found[1])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
