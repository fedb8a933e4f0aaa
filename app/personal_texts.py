"""What people write, sealed with a key of whoever wrote it, so that it can be forgotten.

The log, and all that is made of it, holds sealed text only; it is opened for whoever may see what
it is about, and nothing opened is kept. The keys are rows of `vault.person_keys`, sealed by the
key ring. An event PersonErased deletes its person's in its own transaction, and keys are looked up
each time: from that commit on no process opens what the person wrote.

    sealed.1.KEY.PLACE.TEXT

KEY and PLACE are uuids as 32 digits, TEXT is nonce, encrypted text and tag in base64url. The place
is the service instance or the deployment that was written about; the text opens as its own only.
"""

import base64
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from psycopg import rows, sql

from app import key_ring, secrets
from app.eventlog import connections
from domain import person

MARK = "sealed.1."
"""What sealed texts begin with: without it there is nothing to open."""

ERASED = "erased"
"""What is shown when the key is gone."""

_UNREADABLE = "unreadable"
_SECONDS = 5.0
_BATCH = 200
_SEALED = re.compile(
    r"sealed\.1\.(?P<key>[0-9a-f]{32})\.(?P<place>[0-9a-f]{32})\.(?P<text>[\w-]{38,})(?P<on>[.;])?",
    re.ASCII,
)
_logger = logging.getLogger(__name__)

_FIND = "SELECT id, key_id, sealed FROM vault.person_keys WHERE person_id = %s"
_MAKE = """
    INSERT INTO vault.person_keys (id, person_id, key_id, sealed) VALUES (%s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""
_OPEN: LiteralString = """
    SELECT wanted.key, wanted.place, k.person_id, k.key_id, k.sealed
    FROM unnest(%(keys)s::uuid[], %(places)s::uuid[]) AS wanted (key, place)
    JOIN vault.person_keys AS k ON k.id = wanted.key
    WHERE {seen}
"""
_AFTER = """
    SELECT id, person_id, key_id, sealed FROM vault.person_keys
    WHERE id > %s ORDER BY id LIMIT %s
"""
_OLD = """
    SELECT id, person_id, key_id, sealed FROM vault.person_keys
    WHERE key_id <> %s ORDER BY id LIMIT %s FOR UPDATE
"""
_RENEW = "UPDATE vault.person_keys SET key_id = %s, sealed = %s WHERE id = %s"

PLACE = sql.Identifier("wanted", "place")
"""What a text is about, for the condition of Seen."""


@dataclass(frozen=True)
class Seen:
    """Which places somebody may see: a condition on PLACE, and its parameters."""

    condition: sql.Composable
    values: Mapping[str, object]


_Keys = Mapping[tuple[str, str], bytes | None]
"""Keys by key id and place; None for one that the key ring does not open."""


class PersonKeyBrokenError(key_ring.SecretsError):
    """What is stored was not sealed as this key of this person, or was changed."""

    def __init__(self, *, key: UUID) -> None:
        super().__init__(
            code=key_ring.SecretsErrorCode.SEAL_BROKEN,
            message=f"the stored key {key} of a person was changed or belongs to somebody else",
        )
        self.key = key


class PersonalTexts:
    """Seals what people write, and opens it."""

    def __init__(self, *, pool: secrets.Pool, keys: key_ring.KeyRing) -> None:
        self._pool = pool
        self._connections = connections.Connections(pool=pool, seconds=_SECONDS)
        self._ring = keys

    async def seal(self, text: str, *, subject: str, place: UUID) -> str:
        """Return what a person wrote about a place, sealed; it gets a key if it has none.

        Raises LogUnavailableError and SecretsError.
        """
        key_id, key = await self._own_key(person.identify(subject))
        context = _context(key_id.hex, place.hex)
        sealed = key_ring.encrypted(text.encode(), key=key, context=context)
        written = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
        return f"{MARK}{key_id.hex}.{place.hex}.{written}"

    async def opened(self, document: str, *, seen: Seen) -> str:
        """Return a JSON text with all that is sealed in it opened, or `erased`.

        Within a sentence, which goes on after it, a text loses its full stop. Raises
        LogUnavailableError.
        """
        keys = await self._keys(document, seen)
        return _SEALED.sub(lambda match: _shown(match, keys), document)

    async def check(self) -> None:
        """Open the keys of all people; raises SecretsError if one cannot be opened."""
        last = UUID(int=0)
        while found := await self._after(last):
            for made, person_id, key_id, sealed in found:
                self._unwrapped(made, person_id, key_id, sealed)
                last = made

    async def rewrap(self) -> int:
        """Seal with the ring's primary key what is sealed with another; return how many keys."""
        count = 0
        while changed := await self._rewrap_batch():
            count += changed
        return count

    async def _own_key(self, person_id: UUID) -> tuple[UUID, bytes]:
        """Return the key of a person; racing callers get the same."""

        async def work(connection: connections.Connection) -> tuple[UUID, str, bytes]:
            while True:  # it may be destroyed just after it was made
                row = await (await connection.execute(_FIND, [person_id])).fetchone()
                if row is not None:
                    return (*row,)
                made = uuid4()
                sealed = self._ring.seal(key_ring.new_key(), context=_wrapping(made, person_id))
                await connection.execute(_MAKE, [made, person_id, *sealed])

        made, key_id, sealed = await self._connections.run(work)
        return made, self._unwrapped(made, person_id, key_id, sealed)

    async def _keys(self, document: str, seen: Seen) -> _Keys:
        wanted = {match.group("key", "place") for match in _SEALED.finditer(document)}
        if not wanted:
            return {}
        statement = sql.SQL(_OPEN).format(seen=seen.condition)
        values = {
            "keys": [key for key, _ in wanted],
            "places": [place for _, place in wanted],
            **seen.values,
        }

        async def work(connection: connections.Connection) -> list[tuple[Any, ...]]:
            return await (await connection.execute(statement, values)).fetchall()

        keys: dict[tuple[str, str], bytes | None] = {}
        for key, place, *row in await self._connections.run(work):
            try:
                keys[key.hex, place.hex] = self._unwrapped(key, *row)
            except key_ring.SecretsError as error:
                _logger.error("the key %s of a person cannot be opened: %s", key, error)  # noqa: TRY400  it says all
                keys[key.hex, place.hex] = None
        return keys

    async def _after(self, key: UUID) -> list[rows.TupleRow]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(_AFTER, [key, _BATCH])).fetchall()

    async def _rewrap_batch(self) -> int:
        self._ring.reload()  # else two processes could seal back and forth, each with its own
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(_OLD, [self._ring.primary, _BATCH])
            found = await cursor.fetchall()
            for made, person_id, key_id, sealed in found:
                key = self._unwrapped(made, person_id, key_id, sealed)
                renewed = self._ring.seal(key, context=_wrapping(made, person_id))
                await connection.execute(_RENEW, [*renewed, made])
        return len(found)

    def _unwrapped(self, made: UUID, person_id: UUID, key_id: str, sealed: bytes) -> bytes:
        try:
            return self._ring.unseal(sealed, key_id=key_id, context=_wrapping(made, person_id))
        except InvalidTag as error:
            raise PersonKeyBrokenError(key=made) from error


def _shown(match: re.Match[str], keys: _Keys) -> str:
    """Return what stands in the place of a sealed text, as part of a string in JSON."""
    key_id, place, written, on = match.group("key", "place", "text", "on")
    text = ERASED
    if (key_id, place) in keys:
        text = _text(written, keys[key_id, place], _context(key_id, place))
    if on is not None:
        text = f"{text.removesuffix('.')}{on}"
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _text(written: str, key: bytes | None, context: bytes) -> str:
    try:
        if key is not None:
            sealed = base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))
            return key_ring.decrypted(sealed, key=key, context=context).decode()
    except (InvalidTag, ValueError):
        _logger.warning("a sealed text is not what was sealed")
    return _UNREADABLE


def _context(key_id: str, place: str) -> bytes:
    return f"{key_id}.{place}".encode()


def _wrapping(made: UUID, person_id: UUID) -> bytes:
    return f"{made}|{person_id}".encode()
