"""The keys of an OpenID provider, fetched when they are needed and not more often than that."""

import asyncio
import logging
import time
import urllib.parse
from typing import Any

import httpx
import msgspec
from joserfc import errors, jwk

from app.eventlog import command

_SECONDS = 60.0  # between two fetches, however many tokens ask for a key that is not there
_STALE = 600.0  # seconds, after which a key may have been withdrawn
_TIMEOUT = 5.0
_LARGEST = 1_048_576  # bytes of an answer
_KINDS = ("RSA", "EC", "OKP")  # a secret key in a public place proves nothing
_logger = logging.getLogger(__name__)


class KeysError(Exception):
    """The provider's keys cannot be had; the text says why."""


class _AwayError(KeysError):
    """The provider fails."""


class IssuerAwayError(command.LogUnavailableError):
    """Nobody can tell now whom a token speaks for; answered as a database that is away is."""

    def __init__(self) -> None:
        super().__init__("The OpenID provider cannot be reached. Try again later.")


class IssuerKeys:
    """Knows the keys by id; looks for new ones at most once in so many seconds."""

    def __init__(
        self, *, issuer: str, seconds: float = _SECONDS, client: httpx.AsyncClient | None = None
    ) -> None:
        self._issuer = issuer
        self._seconds = seconds
        self._client = client or httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)
        self._keys: dict[str, jwk.Key] = {}
        self._asked_at = float("-inf")
        self._fetched_at = float("-inf")
        self._is_away = False
        self._lock = asyncio.Lock()

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def find(self, key_id: str) -> jwk.Key | None:
        """Return the key of that id, as the provider shows it now; None if it shows none.

        Raises IssuerAwayError if it is not known and the provider could not be reached.
        """
        is_known = key_id in self._keys
        if not is_known or (self._is_stale() and not self._lock.locked()):
            async with self._lock:  # whoever comes while they are fetched waits for them
                if self._may_ask() and (key_id not in self._keys or self._is_stale()):
                    await self._refresh()
        key = self._keys.get(key_id)
        if key is None and self._is_away:
            raise IssuerAwayError
        return key

    def _is_stale(self) -> bool:
        return time.monotonic() - self._fetched_at > min(_STALE, self._seconds * 10)

    def _may_ask(self) -> bool:
        return time.monotonic() - self._asked_at >= self._seconds

    async def _refresh(self) -> None:
        """Fetch the keys; those that are known stay if that fails."""
        self._asked_at = time.monotonic()
        try:
            self._keys = await self._fetch()
        except (KeysError, httpx.HTTPError) as error:
            # Who answers nonsense is asked for in vain, and nobody gets in by that.
            self._is_away = isinstance(error, (_AwayError, httpx.TransportError))
            reason = str(error) or type(error).__name__
            _logger.warning("the keys of %s cannot be fetched: %s", self._issuer, reason)
        else:
            self._is_away = False
            self._fetched_at = self._asked_at

    async def _fetch(self) -> dict[str, jwk.Key]:
        place = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        configuration = await self._json(place)
        if configuration.get("issuer") != self._issuer:
            raise KeysError("its configuration names another issuer")
        address = configuration.get("jwks_uri")
        if not isinstance(address, str) or not self._is_as_safe(address):
            raise KeysError("its configuration does not tell where they are")
        listed = (await self._json(address)).get("keys")
        if not isinstance(listed, list):
            raise KeysError("there is no list of keys")
        return dict(found for each in listed if (found := _key(each)) is not None)

    async def _json(self, address: str) -> dict[str, Any]:
        async with self._client.stream("GET", address) as answer:
            if answer.is_server_error:
                raise _AwayError(f"{address} answers {answer.status_code}")
            if answer.status_code != httpx.codes.OK:
                raise KeysError(f"{address} answers {answer.status_code}")
            body = b""
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _LARGEST:
                    raise KeysError(f"{address} answers more than {_LARGEST} bytes")
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise KeysError(f"{address} does not answer a JSON object") from error

    def _is_as_safe(self, address: str) -> bool:
        """Is the address reached as safely as the issuer?"""
        scheme = urllib.parse.urlsplit(address).scheme
        return scheme == "https" or scheme == urllib.parse.urlsplit(self._issuer).scheme


def _key(given: object) -> tuple[str, jwk.Key] | None:
    """Return a public key that signs, by its id; None for anything else."""
    if not isinstance(given, dict) or given.get("use", "sig") != "sig":
        return None
    key_id = given.get("kid")
    if given.get("kty") not in _KINDS or not isinstance(key_id, str):
        return None
    try:
        return key_id, jwk.import_key(given)
    except (errors.JoseError, ValueError, TypeError, KeyError):
        _logger.warning("a key of the provider cannot be used: %.100r", key_id)
        return None
