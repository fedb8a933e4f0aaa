"""The addresses below /audit: the key of the log, checkpoints and proofs."""

import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.access import caller
from app.audit import proofs
from app.eventlog import command

Authenticate = Callable[[str], Awaitable[caller.Caller | None]]
"""Returns whoever a token speaks for."""

_BEARER = "bearer "
_LARGEST = 2**63 - 1


class _RefusedError(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def routes(
    *, authenticate: Authenticate, proving: proofs.Proofs, verifier_key: str
) -> Sequence[Route]:
    """Return what answers there; each answer needs a token."""

    async def key(_request: Request) -> Response:
        return PlainTextResponse(verifier_key + "\n")

    async def checkpoint(request: Request) -> Response:
        size = _number(request, "size")
        return PlainTextResponse((await proving.checkpoint(size=size)).note)

    async def inclusion(request: Request) -> Response:
        position, size = _number(request, "position"), _number(request, "size")
        if position is None:
            raise _bad("position is missing: which event?")
        proof = await proving.inclusion(position=position, size=size)
        return JSONResponse(inclusion_json(proof))

    async def consistency(request: Request) -> Response:
        earlier, size = _number(request, "from"), _number(request, "to")
        if earlier is None:
            raise _bad("from is missing: which earlier size?")
        proof = await proving.consistency(earlier=earlier, size=size)
        return JSONResponse(consistency_json(proof))

    def route(path: str, answer: Callable[[Request], Awaitable[Response]]) -> Route:
        async def guarded(request: Request) -> Response:
            try:
                await _authorised(request, authenticate)
                return await answer(request)
            except _RefusedError as error:
                return refusal(error.status, error.code, str(error))
            except proofs.NotCoveredError as error:
                return refusal(404, "NOT_COVERED", str(error))
            except command.LogUnavailableError as error:
                return refusal(503, error.code, error.message)

        return Route(path, guarded)

    return [
        route("/audit/key", key),
        route("/audit/checkpoint", checkpoint),
        route("/audit/proofs/inclusion", inclusion),
        route("/audit/proofs/consistency", consistency),
    ]


def inclusion_json(proof: proofs.Inclusion) -> dict[str, Any]:
    """Return the proof as clients get it; hashes are base64, as in the checkpoint."""
    return {
        "position": str(proof.position),
        "leaf": _text(proof.leaf),
        "hashes": [_text(each) for each in proof.hashes],
        "size": str(proof.checkpoint.size),
        "checkpoint": proof.checkpoint.note,
    }


def consistency_json(proof: proofs.Consistency) -> dict[str, Any]:
    """Return the proof as clients get it."""
    return {
        "from": str(proof.earlier.size),
        "to": str(proof.checkpoint.size),
        "hashes": [_text(each) for each in proof.hashes],
        "earlierCheckpoint": proof.earlier.note,
        "checkpoint": proof.checkpoint.note,
    }


def refusal(status: int, code: str, message: str) -> Response:
    """Return an error in the shape that all errors have."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004  as HTTP has it
    error = {"message": message, "extensions": {"code": code}}
    return JSONResponse({"errors": [error]}, status_code=status, headers=headers)


async def _authorised(request: Request, authenticate: Authenticate) -> caller.Caller:
    """Return who asks. Raises a refusal when nobody has signed in."""
    header = request.headers.get("authorization", "")
    who = None
    if header.lower().startswith(_BEARER):
        who = await authenticate(header[len(_BEARER) :].strip())
    if who is None:
        raise _RefusedError(401, "UNAUTHENTICATED", "A valid token is needed.")
    return who


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _LARGEST):  # noqa: PLR2004  more digits than a position has
        raise _bad(f"{name} must be a whole number.")
    return int(text)


def _bad(message: str) -> _RefusedError:
    return _RefusedError(400, "BAD_USER_INPUT", message)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
