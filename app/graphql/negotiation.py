"""What HTTP says of a request: its method, and the media types that go in and out.

Where the draft of GraphQL over HTTP and the audits of the reference client disagree, the audits
are followed, here: who accepts anything is answered in `application/json`, with status 200 for
whatever was a well-formed request.
"""

import dataclasses
import enum
import functools

from starlette import requests, status
from strawberry.types.graphql import OperationType

METHODS = "GET, POST"
_QUALITY = "q="
_REMEMBERED = 256  # ways of asking


class MediaType(enum.Enum):
    """What an answer can be, the preferred one first."""

    RESPONSE = "application/graphql-response+json"
    JSON = "application/json"
    EVENTS = "text/event-stream"


class RefusedRequestError(Exception):
    """The request cannot be taken, whatever it asks for."""

    def __init__(self, code: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a client accepts."""

    json: MediaType | None
    """Of the two that hold one answer; None if it wants events alone."""
    has_events: bool


def wanted(request: requests.Request) -> Wanted:
    """Return what the client accepts. Raises RefusedRequestError: 405, 406, 415."""
    headers = request.headers
    return _wanted(request.method, headers.get("accept"), headers.get("content-type", ""))


@functools.lru_cache(maxsize=_REMEMBERED)
def _wanted(method: str, accept: str | None, content_type: str) -> Wanted:
    if method not in METHODS.split(", "):
        raise RefusedRequestError(
            status.HTTP_405_METHOD_NOT_ALLOWED, f"Use one of {METHODS}.", Allow=METHODS
        )
    accepted = _accepted(accept)
    if not any(accepted.values()):
        names = ", ".join(media_type.value for media_type in MediaType)
        raise RefusedRequestError(
            status.HTTP_406_NOT_ACCEPTABLE, f"An answer can be one of {names}."
        )
    if method == "POST" and not _is_json(content_type):
        raise RefusedRequestError(
            status.HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            "Send `Content-Type: application/json`, encoded in UTF-8.",
        )
    answers = (MediaType.RESPONSE, MediaType.JSON)
    best = max(answers, key=accepted.__getitem__)
    return Wanted(json=best if accepted[best] else None, has_events=accepted[MediaType.EVENTS] > 0)


def wrong_way(operation_type: OperationType) -> RefusedRequestError:
    """Return the refusal of an operation that this method, or this media type, cannot carry."""
    if operation_type is OperationType.SUBSCRIPTION:
        return RefusedRequestError(
            status.HTTP_406_NOT_ACCEPTABLE,
            f"A subscription needs `Accept: {MediaType.EVENTS.value}`, or a WebSocket.",
        )
    return RefusedRequestError(
        status.HTTP_405_METHOD_NOT_ALLOWED, "A mutation needs POST.", Allow="POST"
    )


def _accepted(header: str | None) -> dict[MediaType, float]:
    """Return how much each media type is wanted."""
    if not (header or "").strip():
        return {MediaType.RESPONSE: 0, MediaType.JSON: 1, MediaType.EVENTS: 0}
    asked = {}
    for part in (header or "").lower().split(","):
        essence, *parameters = (piece.strip() for piece in part.split(";"))
        asked[essence] = _quality(parameters)
    anything = asked.get("application/*", asked.get("*/*", 0.0))
    return {
        MediaType.RESPONSE: asked.get(MediaType.RESPONSE.value, 0.0),
        MediaType.JSON: asked.get(MediaType.JSON.value, anything),
        MediaType.EVENTS: asked.get(MediaType.EVENTS.value, asked.get("text/*", 0.0)),
    }


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith(_QUALITY):
            try:
                return float(parameter.removeprefix(_QUALITY))
            except ValueError:
                return 0.0
    return 1.0


def _is_json(content_type: str) -> bool:
    essence, *parameters = (piece.strip() for piece in content_type.lower().split(";"))
    charsets = [each for each in parameters if each.startswith("charset=")]
    is_utf8 = all(each.split("=", 1)[1].strip('"') in ("utf-8", "utf8") for each in charsets)
    return essence == MediaType.JSON.value and is_utf8
