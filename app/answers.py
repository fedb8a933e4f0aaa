"""What all answers of the application have in common, whoever gives them.

No answer is a page but the explorer's, which says so itself; no cookie is ever set; errors are
JSON; and pages of other sites may ask only if they are on the list.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from starlette import datastructures, types
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

_logger = logging.getLogger(__name__)
_SECURITY_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_VARY = (b"vary", b"Accept")
_CODES = MappingProxyType({404: "NOT_FOUND", 405: "BAD_USER_INPUT"})
_REMEMBERED = 600  # seconds that a browser keeps the answer to a preflight


class _Guarded:
    """Adds the headers that an answer does not bring."""

    def __init__(self, app: types.ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        async def send_guarded(message: types.Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message["headers"])
                brought = {name for name, _ in headers}
                headers += [pair for pair in _SECURITY_HEADERS if pair[0] not in brought]
                if _VARY[0] in brought:
                    datastructures.MutableHeaders(raw=headers).add_vary_header("Accept")
                else:
                    headers.append(_VARY)
            await send(message)

        await self._app(scope, receive, send_guarded if scope["type"] == "http" else send)


class _Directly:
    """Leads past the router, which takes longer than to compare a text."""

    def __init__(self, app: types.ASGIApp, *, path: str, to: types.ASGIApp) -> None:
        self._app = app
        self._path = path
        self._to = to

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        is_there = scope["type"] == "http" and scope["path"] == self._path
        await (self._to if is_there else self._app)(scope, receive, send)


def middleware(
    *, allowed_origins: Sequence[str], busiest: tuple[str, types.ASGIApp]
) -> list[Middleware]:
    """Return what goes around the application; the busiest path has an application of its own.

    That one answers whatever goes wrong in it.
    """
    path, application = busiest
    around = [Middleware(_Guarded)]
    if allowed_origins:
        around.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(allowed_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
                expose_headers=["Retry-After"],
                max_age=_REMEMBERED,
            )
        )
    around.append(Middleware(_Directly, path=path, to=application))
    return around


def _refused(_request: Request, error: Exception) -> Response:
    """Say in JSON that there is nothing here."""
    code = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    return _told(code, detail, {"code": _CODES.get(code, "BAD_USER_INPUT")}, headers)


def _broken(_request: Request, error: Exception) -> Response:
    correlation_id = str(uuid.uuid4())
    _logger.error("unanticipated error %s", correlation_id, exc_info=error)
    return _told(500, "internal error", {"code": "INTERNAL", "correlationId": correlation_id})


def _told(
    code: int,
    message: str,
    extensions: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
) -> Response:
    answer = {"errors": [{"message": message, "extensions": dict(extensions)}]}
    return JSONResponse(answer, status_code=code, headers=headers)


HANDLERS: Mapping[Any, Any] = MappingProxyType({HTTPException: _refused, Exception: _broken})
