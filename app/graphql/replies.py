"""Answers as HTTP carries them: media types and statuses."""

import json
from collections.abc import Mapping
from typing import Any

import graphql
from starlette import responses, status
from strawberry import http as strawberry_http
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from app.graphql import negotiation

_BODIES = {400: "BAD_USER_INPUT", 408: "TIMEOUT", 413: "LIMIT_EXCEEDED"}


class _Text(responses.Response):
    """An answer with the headers that it needs, at a third of what it takes to look for others."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Tell the length and the type."""
        if headers is not None:
            super().init_headers(headers)
            return
        self.raw_headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", str(self.media_type).encode()),
        ]


def reply(result: bytes | ExecutionResult, media_type: negotiation.MediaType) -> responses.Response:
    """Return what was answered: a text as it is, a result with its status."""
    if isinstance(result, bytes):
        return _Text(result, media_type=media_type.value)
    response = _json(formatted(result), media_type)
    if isinstance(result, PreExecutionError):
        code, headers = _status(result.errors or [])
        if media_type is negotiation.MediaType.RESPONSE or headers:
            response.status_code = code
        response.headers.update(headers)
    return response


def formatted(result: ExecutionResult) -> Any:  # noqa: ANN401  JSON
    """Return the answer; one that was never executed has no data."""
    answer: Any = strawberry_http.process_result(result)
    if isinstance(result, PreExecutionError) or result.data is None:
        answer.pop("data", None)
    return answer


def _status(errors: list[graphql.GraphQLError]) -> tuple[int, dict[str, str]]:
    found = {str((error.extensions or {}).get("code")): error for error in errors}
    if "UNAUTHENTICATED" in found:
        return status.HTTP_401_UNAUTHORIZED, {"WWW-Authenticate": "Bearer"}
    if "RATE_LIMITED" in found:
        seconds = (found["RATE_LIMITED"].extensions or {})["retryAfter"]
        return status.HTTP_429_TOO_MANY_REQUESTS, {"Retry-After": str(seconds)}
    if "INTERNAL" in found:
        return status.HTTP_500_INTERNAL_SERVER_ERROR, {}
    if found.keys() & {"UNAVAILABLE", "TIMEOUT"}:
        return status.HTTP_503_SERVICE_UNAVAILABLE, {}
    return status.HTTP_400_BAD_REQUEST, {}


def not_taken(
    error: negotiation.RefusedRequestError,
    media_type: negotiation.MediaType = negotiation.MediaType.JSON,
) -> responses.Response:
    """Return what is told of a request that could not be taken."""
    code = _BODIES.get(error.code, "BAD_USER_INPUT")
    response = refused(error.code, _error(error.message, code), media_type)
    response.headers.update(error.headers)
    return response


def _error(message: str, code: str) -> graphql.GraphQLError:
    return graphql.GraphQLError(message, extensions={"code": code})


def refused(
    code: int,
    error: graphql.GraphQLError,
    media_type: negotiation.MediaType = negotiation.MediaType.JSON,
) -> responses.Response:
    """Return an error with its status."""
    response = _json({"errors": [error.formatted]}, media_type)
    response.status_code = code
    return response


def _json(answer: object, media_type: negotiation.MediaType) -> responses.Response:
    # In ASCII: an error may repeat half a character that a client sent.
    text = json.dumps(answer, separators=(",", ":"))
    return responses.Response(text, media_type=media_type.value)
