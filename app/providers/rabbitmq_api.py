"""Calls to the management API of a RabbitMQ server, and what its answers mean."""

import json
from collections.abc import Awaitable, Callable, Collection, Iterable
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from uuid import UUID

import httpx

from app import redaction
from app.providers import attempts, contract

T = TypeVar("T")

_LONGEST_WAIT = 10.0  # seconds for one answer
_SHOWN = 300  # characters of an answer that is not the API's
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class RefusedError(Exception):
    """The server answered that it did not do as asked."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


class Api:
    """Asks the server, as long as somebody waits for the answer."""

    def __init__(self, client: httpx.AsyncClient, attempt: attempts.Attempt) -> None:
        self._client = client
        self._attempt = attempt

    async def get(self, *place: str, columns: str | None = None) -> object:
        """Return what is at a place, None if nothing is."""
        query = f"?columns={columns}" if columns else ""
        answer = await self._asked("GET", place, query=query, but=(HTTPStatus.NOT_FOUND,))
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        found: object = answer.json()
        return found

    async def put(self, *place: str, body: object, but: Collection[HTTPStatus] = ()) -> HTTPStatus:
        """Make or replace what is at a place; return the status, one of `but` included."""
        answer = await self._asked("PUT", place, body=body, but=but)
        return HTTPStatus(answer.status_code)

    async def post(self, *place: str) -> None:
        """Ask for what a place stands for."""
        await self._asked("POST", place)

    async def delete(self, *place: str, but: Collection[HTTPStatus] = ()) -> HTTPStatus:
        """Delete what is at a place, if something is; return the status, one of `but` included."""
        answer = await self._asked("DELETE", place, but=(HTTPStatus.NOT_FOUND, *but))
        return HTTPStatus(answer.status_code)

    async def _asked(
        self,
        method: str,
        place: Iterable[str],
        *,
        query: str = "",
        body: object = None,
        but: Collection[HTTPStatus] = (),
    ) -> httpx.Response:
        self._attempt.require_wanted()
        path = "/".join(quote(name, safe="") for name in place)
        answer = await self._client.request(
            method,
            f"api/{path}{query}",
            content=None if body is None else json.dumps(body),
            headers={"content-type": "application/json"},
        )
        if not answer.is_success and answer.status_code not in but:
            raise RefusedError(answer)
        return answer


class RabbitmqAdmin:
    """Administers one server."""

    def __init__(self, *, url: str, deadline: float) -> None:
        self._url = url
        self._wait = min(deadline, _LONGEST_WAIT)
        self._client: httpx.AsyncClient | None = None
        self._attempts = attempts.Attempts(server="RabbitMQ", deadline=deadline, told=self._told)

    async def run(self, *, service_instance_id: UUID, work: Callable[[Api], Awaitable[T]]) -> T:
        """Do the work, or raise ProviderError."""

        async def connected(attempt: attempts.Attempt) -> T:
            return await work(Api(self._connected(), attempt))

        return await self._attempts.run(service_instance_id=service_instance_id, work=connected)

    async def aclose(self) -> None:
        """Let the calls under way end, then let go of the connections."""
        await self._attempts.aclose()
        if self._client is not None:
            await self._client.aclose()

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            parts = urlsplit(self._url)
            place = parts.netloc.rpartition("@")[2]
            self._client = httpx.AsyncClient(
                base_url=urlunsplit((parts.scheme, place, f"{parts.path.rstrip('/')}/", "", "")),
                auth=(unquote(parts.username or ""), unquote(parts.password or "")),
                timeout=self._wait,
                trust_env=False,
            )
        return self._client

    def _told(self, error: BaseException) -> contract.ProviderError | None:
        code, is_transient = _classified(error)
        if code is None:
            return None
        text = _said(error.answer) if isinstance(error, RefusedError) else str(error)
        secrets = (self._url, unquote(urlsplit(self._url).password or ""))
        message = " ".join(
            redaction.redact(text or type(error).__name__, secrets=filter(None, secrets)).split()
        )
        return contract.ProviderError(
            code=code, message=f"RabbitMQ: {message}", is_transient=is_transient
        )


def _said(answer: httpx.Response) -> str:
    """Return how the server explains a refusal."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and "error" in body:
        return f"{body['error']}: {str(body.get('reason', ''))[:_SHOWN]}"
    return f"status {answer.status_code}"


def _classified(error: BaseException) -> tuple[contract.ProviderErrorCode | None, bool]:
    match error:
        case RefusedError(answer=answer) if answer.is_server_error or answer.status_code in _BUSY:
            return contract.ProviderErrorCode.UNAVAILABLE, True
        case RefusedError(answer=answer) if answer.status_code in _REFUSALS:
            return contract.ProviderErrorCode.PERMISSION_DENIED, False
        case RefusedError():
            return contract.ProviderErrorCode.FAILED, False
        case httpx.TimeoutException():
            return contract.ProviderErrorCode.TIMEOUT, True
        # An answer that cannot be read comes from something between, or a server in trouble.
        case httpx.HTTPError() | OSError() | json.JSONDecodeError() | UnicodeDecodeError():
            return contract.ProviderErrorCode.UNAVAILABLE, True
        case _:
            return None, False
