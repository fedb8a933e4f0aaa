"""The addresses below /audit: the events, the key of the log, checkpoints and proofs."""

import base64
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.access import bearer, caller
from app.application import permissions
from app.audit import asked, proofs, streaming
from app.eventlog import command, epochs

Authenticate = Callable[[str], Awaitable[caller.Caller | None]]
"""Returns whoever a token speaks for."""

_Answer = Callable[[Request, caller.Caller], Awaitable[Response]]


class _UnauthenticatedError(Exception):
    """Nobody has signed in."""


@dataclasses.dataclass(frozen=True)
class Outside:
    """What answers below /audit; each answer needs a token."""

    authenticate: Authenticate
    proofs: proofs.Proofs
    stream: streaming.Stream
    verifier_key: str
    place: Callable[[int], str]
    """Returns the text of a position that the log holds."""

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return [
            self._route("/audit/events", self._events),
            self._route("/audit/key", self._key),
            self._route("/audit/checkpoint", self._checkpoint),
            self._route("/audit/proofs/inclusion", self._inclusion),
            self._route("/audit/proofs/consistency", self._consistency),
        ]

    def _route(self, path: str, answer: _Answer) -> Route:
        async def guarded(request: Request) -> Response:
            try:
                return await answer(request, await self._caller(request))
            except _UnauthenticatedError:
                return refusal(401, "UNAUTHENTICATED", "A valid token is needed.")
            except asked.BadRequestError as error:
                return refusal(400, "BAD_USER_INPUT", str(error))
            except epochs.LogDivergedError as error:
                common = error.last_common
                known = {} if common is None else {"lastCommonPosition": common}
                return refusal(409, error.code, str(error), **known)
            except proofs.NotCoveredError as error:
                return refusal(404, "NOT_COVERED", str(error))
            except command.LogUnavailableError as error:
                return refusal(503, error.code, error.message)

        return Route(path, guarded, methods=["GET"])

    async def _caller(self, request: Request) -> caller.Caller:
        """Return who asks."""
        token = _token(request)
        who = await self.authenticate(token) if token else None
        if who is None:
            raise _UnauthenticatedError
        return who

    async def _events(self, request: Request, who: caller.Caller) -> Response:
        if not who.is_in_beta and permissions.needs_beta_to_read(who):
            reason = "FEATURE_NOT_ENABLED"
            return refusal(403, "FORBIDDEN", permissions.BETA_NEEDED, reason=reason)
        return await self.stream.answer(request, who, token=_token(request))

    async def _key(self, _request: Request, _who: caller.Caller) -> Response:
        return PlainTextResponse(self.verifier_key + "\n")

    async def _checkpoint(self, request: Request, _who: caller.Caller) -> Response:
        found = await self.proofs.checkpoint(size=_number(request, "size"))
        return PlainTextResponse(found.note)

    async def _inclusion(self, request: Request, _who: caller.Caller) -> Response:
        position, size = _number(request, "position"), _number(request, "size")
        if position is None:
            raise asked.BadRequestError("position is missing: which event?")
        proof = await self.proofs.inclusion(position=position, size=size)
        return JSONResponse(_inclusion_json(proof, place=self.place(proof.position)))

    async def _consistency(self, request: Request, _who: caller.Caller) -> Response:
        earlier, size = _number(request, "from"), _number(request, "to")
        if earlier is None:
            raise asked.BadRequestError("from is missing: which earlier size?")
        proof = await self.proofs.consistency(earlier=earlier, size=size)
        return JSONResponse(_consistency_json(proof))


def refusal(status: int, code: str, message: str, **more: str) -> Response:
    """Return an error in the shape that all errors have."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004  as HTTP has it
    error = {"message": message, "extensions": {"code": code, **more}}
    return JSONResponse({"errors": [error]}, status_code=status, headers=headers)


def _inclusion_json(proof: proofs.Inclusion, *, place: str) -> dict[str, Any]:
    """Return the proof as clients get it; hashes are base64, as in the checkpoint."""
    return {
        "position": place,
        "leaf": _text(proof.leaf),
        "hashes": [_text(each) for each in proof.hashes],
        "size": str(proof.checkpoint.size),
        "checkpoint": proof.checkpoint.note,
    }


def _consistency_json(proof: proofs.Consistency) -> dict[str, Any]:
    return {
        "from": str(proof.earlier.size),
        "to": str(proof.checkpoint.size),
        "hashes": [_text(each) for each in proof.hashes],
        "earlierCheckpoint": proof.earlier.note,
        "checkpoint": proof.checkpoint.note,
    }


def _token(request: Request) -> str:
    return bearer.token(request.headers.get("authorization")) or ""


def _number(request: Request, name: str) -> int | None:
    return asked.position(request.query_params.get(name), name=name)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
