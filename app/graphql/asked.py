"""The operation that a request holds."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from starlette import requests, status, types

from app import timers
from app.graphql import limits, negotiation, patience, trusted


@dataclasses.dataclass(frozen=True)
class Asked:
    """An operation as a client sent it."""

    query: str
    variables: Mapping[str, Any] | None
    operation_name: str | None


def holds_one(request: requests.Request) -> bool:
    """Tell whether the address of a GET holds an operation."""
    return not request.query_params.keys().isdisjoint({"query", "documentId"})


async def read(
    request: requests.Request,
    *,
    documents: trusted.Documents,
    allowed: limits.Limits,
    watches: timers.Timers,
) -> Asked:
    """Return the operation. Raises RefusedRequestError (400, 408, 413), DocumentRefusedError."""
    if request.method == "GET":
        given = request.query_params
        parameters: dict[str, Any] = dict(given)
        for name in ("variables", "extensions"):
            if name in given:
                parameters[name] = decoded(given[name]) if given[name] else None
        return _asked(parameters, documents)
    parameters = decoded(await _body(request, allowed, watches))
    if not isinstance(parameters, dict):
        raise _malformed("The body must be a JSON object.")
    return _asked(parameters, documents)


def decoded(text: str | bytes) -> Any:  # noqa: ANN401  any JSON
    """Return the value of a JSON text. Raises RefusedRequestError for anything else."""
    try:
        if isinstance(text, bytes):
            text = text.decode()
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise _malformed("This is no JSON.") from error


async def _body(request: requests.Request, allowed: limits.Limits, watches: timers.Timers) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > allowed.body:
        raise _too_large(allowed.body)
    try:
        with patience.Patience(allowed.seconds, watches=watches):
            return await _received(request.receive, most=allowed.body)
    except TimeoutError as error:
        raise negotiation.RefusedRequestError(
            status.HTTP_408_REQUEST_TIMEOUT,
            f"The request did not come in within {allowed.seconds:g} seconds.",
            Connection="close",
        ) from error


async def _received(receive: types.Receive, *, most: int) -> bytes:
    """Return a body of limited size, counted while it comes in."""
    body = bytearray()
    has_more = True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _malformed("The request broke off.")
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        has_more = message.get("more_body", False)
    return bytes(body)


def _asked(parameters: Mapping[str, Any], documents: trusted.Documents) -> Asked:
    query = documents.text(parameters)
    variables = parameters.get("variables")
    name = parameters.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise _malformed("`query` must be a text with an operation in it.")
    if not isinstance(variables, dict | None):
        raise _malformed("`variables` must be an object or null.")
    if not isinstance(name, str | None):
        raise _malformed("`operationName` must be a string or null.")
    if not isinstance(parameters.get("extensions"), dict | None):
        raise _malformed("`extensions` must be an object or null.")
    return Asked(query=query, variables=variables, operation_name=name)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _number(text: str) -> float:
    number = float(text)
    if str(number) in ("inf", "-inf"):
        raise ValueError(f"{text} is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_number)


def _malformed(message: str) -> negotiation.RefusedRequestError:
    return negotiation.RefusedRequestError(status.HTTP_400_BAD_REQUEST, message)


def _too_large(most: int) -> negotiation.RefusedRequestError:
    return negotiation.RefusedRequestError(
        status.HTTP_413_CONTENT_TOO_LARGE,
        f"The request is larger than {most} bytes.",
        Connection="close",
    )
