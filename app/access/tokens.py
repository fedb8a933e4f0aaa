"""API tokens: made once, shown once, kept as a hash.

A token holds 256 random bits, so that its plain SHA-256 gives nothing away. Whom it speaks for
is in the log (`read.api_tokens`); a hash that the log does not tell of opens nothing.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import psycopg

from app.access import caller
from app.eventlog import asking

PREFIX = "sbk_"
_LONGEST = 200  # nothing longer is a token, and need not be hashed
_ID = re.compile(r"tok_([0-9a-f]{32})")

_Connection = psycopg.AsyncConnection[Any]

# As `asking` says, it is planned once.
_TOLD: LiteralString = """
    SELECT encode(asked.hash, 'hex') AS hash, json_build_array(
        t.id, t.subject, t.name, t.roles, t.projects,
        coalesce((SELECT true FROM read.people AS p
            WHERE p.subject = t.subject AND p.in_beta LIMIT 1), false)
    )::text AS told
    FROM unnest((SELECT {hashes}::bytea[])) AS asked (hash)
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
_HAD_OPERATOR = "SELECT 1 FROM read.api_tokens WHERE 'OPERATOR' = ANY(roles) LIMIT 1"


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


async def had_operator(*, connection: _Connection) -> bool:
    """Was there ever an operator's token, be it expired or revoked by now?"""
    return await (await connection.execute(_HAD_OPERATOR)).fetchone() is not None


class Found(NamedTuple):
    """Whoever a token speaks for, and how it told that."""

    caller: caller.Caller
    told: str


def told(hashes: LiteralString) -> str:
    """Return the query of `hash` and `told` for the tokens of a parameter, `given` as it is sent.

    A token that is unknown, expired or revoked tells nothing.
    """
    return _TOLD.format(hashes=hashes)


def given(hashes: Iterable[str]) -> str:
    """Return hashes in hexadecimal digits as the parameter of a query."""
    return asking.array([rf"\x{each}" for each in hashes])


def hash_of(token: str) -> str | None:
    """Return the hash of a token in hexadecimal digits; None if it cannot be one."""
    if not (token.startswith(PREFIX) and token.isascii() and len(token) <= _LONGEST):
        return None
    return _hash(token).hex()


async def callers(*, connection: _Connection, hashes: Sequence[str]) -> list[Found | None]:
    """Return whoever the tokens speak for; None for one that is unknown, expired or revoked."""
    found = {
        token_hash: Found(_caller(told), told)
        for token_hash, told in await asking.ask(connection, _FIND, [given(hashes)])
    }
    return [found.get(each) for each in hashes]


def _caller(told: str) -> caller.Caller:
    token_id, subject, name, roles, projects, is_in_beta = json.loads(told)
    return caller.Caller(
        subject=subject,
        name=name,
        token_id=shown_id(UUID(token_id)),
        roles=frozenset([caller.Role[role] for role in roles]),
        projects=frozenset([UUID(project) for project in projects]),
        is_in_beta=is_in_beta,
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


_FIND = told("$1").encode()
