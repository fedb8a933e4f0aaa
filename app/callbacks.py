"""Where receivers of webhooks fetch variables and tell how a release ended.

GET  /deployments/<id>/variables            {"environment", "revision", "variables": {...}}
GET  /deployments/<id>/rollback/variables   likewise, of the revision to go back to
POST /deployments/<id>/result               {"outcome": "SUCCEEDED" | "FAILED", "message", "output"}

Each wants `Authorization: Bearer` with the token of the message. The token is valid until the
deployment ends, however often it is used: an answer may be lost, and the receiver asks again. That
of a rollback is valid for an hour after the receiver took the message in, but not once it answered
how that ended, nor once a later deployment succeeded. Each fetch is an event of the deployment.
401: not the token, or forgotten. 410: the deployment ended, or a later one than the rollback's
succeeded. 409: it ended in another way. 503: ask again; as long as a later deployment is being
released, nobody knows whether the revision to go back to will be wanted.
"""

import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import deployers
from app.access import bearer
from app.application import receivers
from app.eventlog import command
from app.graphql import identifiers

_LONGEST_BODY = 262_144  # bytes
_logger = logging.getLogger(__name__)
_UNSEEN = {"cache-control": "no-store"}

Answer = Callable[[Request], Awaitable[Response]]


class _TooLongError(Exception):
    """The body is longer than any result."""


def routes(asked: receivers.Receivers) -> list[Route]:
    """Return the routes."""

    async def variables(request: Request) -> Response:
        return await _variables(asked, request, is_rollback=False)

    async def earlier_variables(request: Request) -> Response:
        return await _variables(asked, request, is_rollback=True)

    async def result(request: Request) -> Response:
        await asked.result(
            deployment_id=_deployment_id(request),
            token=_token(request),
            answer=await _body(request),
        )
        return JSONResponse({"taken": True}, headers=_UNSEEN)

    place = "/deployments/{id}"
    return [
        Route(f"{place}/variables", _guarded(variables), methods=["GET"]),
        Route(f"{place}/rollback/variables", _guarded(earlier_variables), methods=["GET"]),
        Route(f"{place}/result", _guarded(result), methods=["POST"]),
    ]


async def _variables(
    asked: receivers.Receivers, request: Request, *, is_rollback: bool
) -> Response:
    given = await asked.variables(
        deployment_id=_deployment_id(request), token=_token(request), is_rollback=is_rollback
    )
    return JSONResponse(
        {
            "environment": f"env_{given.environment_id.hex}",
            "revision": given.revision,
            "variables": dict(given.variables),
        },
        headers=_UNSEEN,
    )


def _guarded(answer: Answer) -> Answer:
    """Translate what is anticipated to HTTP."""

    async def guarded(request: Request) -> Response:
        try:
            return await answer(request)
        except receivers.NotAdmittedError:
            _logger.warning(
                "refused a receiver of %.100r: a wrong token", request.path_params["id"]
            )
            return _refusal(401, "this is not the token of that deployment")
        except receivers.ReleaseOverError:
            return _refusal(409 if request.method == "POST" else 410, "the deployment ended")
        except receivers.RollbackWaitsError:
            return _refusal(503, "a later deployment is being released: ask again")
        except deployers.AnswerError as error:
            return _refusal(400, str(error))
        except _TooLongError:
            return _refusal(413, f"at most {_LONGEST_BODY} bytes")
        except command.LogUnavailableError as error:
            return _refusal(503, error.message)

    return guarded


def _refusal(status: int, reason: str) -> Response:
    headers = dict(_UNSEEN)
    if status == 401:  # noqa: PLR2004  as HTTP has it
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": reason}, status_code=status, headers=headers)


def _deployment_id(request: Request) -> UUID:
    found = identifiers.uuid_of(request.path_params["id"], type_name="Deployment")
    if found is None:
        raise receivers.NotAdmittedError
    return found


def _token(request: Request) -> str:
    token = bearer.token(request.headers.get("authorization"))
    if not token:
        raise receivers.NotAdmittedError
    return token


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise _TooLongError
    return body
