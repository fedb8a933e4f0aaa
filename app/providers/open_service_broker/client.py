"""One request to a broker: deadline, size, no redirects, errors told without secrets."""

import asyncio
import email.utils
import ssl
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec

from app import redaction
from app.providers import contract

VERSION = "2.17"
_LARGEST = 4 * 1024 * 1024  # bytes
_LONGEST_PAUSE = 600.0  # seconds
_SHOWN = 500


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a broker answered; `body` is None if it is no JSON object."""

    status: int
    body: Mapping[str, object] | None
    error: str
    description: str
    """Redacted."""
    retry_after: float | None


class NoAnswerError(contract.ProviderError):
    """There was no answer, or none that can be read; the request may have been carried out."""


class Client:
    """Asks one broker."""

    def __init__(
        self,
        *,
        url: str,
        username: str,
        password: str,
        ca_file: Path | None = None,
        deadline: float = 60.0,
        largest: int = _LARGEST,
    ) -> None:
        self._url = url.rstrip("/")
        self._secrets = (password,)
        self._deadline = deadline
        self._largest = largest
        self._http = httpx.AsyncClient(
            auth=httpx.BasicAuth(username, password),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # else a small answer could become a large one
                "X-Broker-API-Version": VERSION,
                "User-Agent": "servicebook",
            },
            # Slow to make, so only where there is TLS.
            verify=ssl.create_default_context(cafile=ca_file)
            if url.startswith("https:")
            else False,
            follow_redirects=False,
            timeout=None,  # noqa: S113  there is one deadline for all of a request
            trust_env=False,
        )

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        secrets: Iterable[str] = (),
    ) -> Answer:
        """Send a request.

        Raises ProviderError if it was never sent, NoAnswerError if nobody knows what came of it.
        """
        known = (*secrets, *self._secrets)
        kind: type[contract.ProviderError] = NoAnswerError
        try:
            async with asyncio.timeout(self._deadline):
                return await self._exchange(method, path, query or {}, body, known)
        except TimeoutError:
            code = contract.ProviderErrorCode.TIMEOUT
            problem = f"no answer within {self._deadline:g} seconds"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            code = contract.ProviderErrorCode.UNAVAILABLE
            text = redaction.redact(str(error), secrets=known)[:_SHOWN]
            problem = f"cannot be asked: {text or type(error).__name__}"
            if isinstance(error, httpx.ConnectError | httpx.InvalidURL | httpx.UnsupportedProtocol):
                kind = contract.ProviderError
        # Raised here and not while handling: the chain of causes would carry the raw text.
        raise kind(code=code, message=f"broker: {problem}", is_transient=True)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, object] | None,
        secrets: Iterable[str],
    ) -> Answer:
        async with self._http.stream(
            method,
            self._url + path,
            params=query,
            json=body,
            headers={"X-Broker-API-Request-Identity": str(uuid.uuid4())},
        ) as response:
            content = bytearray()
            async for part in response.aiter_raw():
                content += part
                if len(content) > self._largest:
                    raise httpx.DecodingError(f"an answer of more than {self._largest} bytes")
        found = _object(bytes(content))
        return Answer(
            status=response.status_code,
            body=found,
            error=_text(found, "error", secrets),
            description=_text(found, "description", secrets),
            retry_after=_pause(response.headers.get("Retry-After")),
        )


def _object(content: bytes) -> Mapping[str, object] | None:
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(body: Mapping[str, object] | None, name: str, secrets: Iterable[str]) -> str:
    value = (body or {}).get(name)
    if not isinstance(value, str):
        return ""
    # Cut generously before, and to size after: a secret must not lose the half that tells it.
    return redaction.redact(value[: 20 * _SHOWN], secrets=secrets)[:_SHOWN].strip()


def _pause(header: str | None) -> float | None:
    """Read Retry-After: seconds, or a time."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(header)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_PAUSE) if seconds == seconds else None  # noqa: PLR0124  not a number
