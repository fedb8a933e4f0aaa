"""The API over HTTP and WebSocket.

Follows GraphQL over HTTP (POST and GET, both media types) and `graphql-transport-ws`. The token
comes as `Authorization: Bearer …`, over a WebSocket also as `authorization` in the payload of
`connection_init`.
"""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import graphql
import strawberry
from cross_web import HTTPException
from starlette import requests, responses, status, types, websockets
from strawberry import asgi, subscriptions
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.subscriptions.protocols.graphql_transport_ws import handlers
from strawberry.subscriptions.protocols.graphql_transport_ws.types import Message
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from app.access import caller
from app.eventlog import log
from app.graphiql import serving
from app.graphql import context, extensions, limits, reading, trusted

Authenticate = Callable[[str], Awaitable[caller.Caller | None]]
"""Returns whoever a token speaks for."""

_MEDIA_TYPE = "application/graphql-response+json"
_BEARER = "bearer "


class _TooLargeError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Parts:
    """What the API works with."""

    reader: reading.Reader
    event_log: log.EventLog
    application: Any  # the use cases; only mutations look inside
    authenticate: Authenticate
    documents: trusted.Documents
    is_introspection_open: bool


class _Handler(handlers.BaseGraphQLTransportWSHandler[context.Context, None]):
    """Closes a connection that sends something else than the protocol."""

    async def handle_message(self, message: Any) -> None:  # noqa: ANN401  whatever a client sent
        if not _is_message(message):
            await self.handle_invalid_message("Failed to parse message")
        else:
            await super().handle_message(message)

    async def handle_subscribe(self, message: Any) -> None:  # noqa: ANN401  as checked above
        """Take a trusted document for its id, unless the protocol has something to say first."""
        if self.connection_acknowledged and message["id"] not in self.operations:
            try:
                text = self.view.documents.text(message["payload"])  # type: ignore[attr-defined]  # the view is GraphQLApp
            except trusted.DocumentRefusedError as error:
                refused = {"id": message["id"], "type": "error", "payload": [error.formatted]}
                await self.send_message(cast("Message", refused))
                return
            message = {**message, "payload": {**message["payload"], "query": text}}
        await super().handle_subscribe(message)


class GraphQLApp(asgi.GraphQL[context.Context, None]):
    """The ASGI application of the API."""

    graphql_transport_ws_handler_class = _Handler

    def __init__(self, *, schema: strawberry.Schema, parts: Parts) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(subscriptions.GRAPHQL_TRANSPORT_WS_PROTOCOL,),
        )
        self._parts = parts
        self.documents = parts.documents

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Answer a request, or hold a connection."""
        if scope["type"] == "websocket":
            await self.run(websockets.WebSocket(scope, receive=receive, send=send))
            return
        request = requests.Request(scope, receive=_limited(receive))
        is_page = request.method in ("GET", "HEAD") and not _asks(request)
        if is_page and serving.wants_page(request.headers):
            response = await serving.page(request)
        else:
            response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: requests.Request) -> responses.Response:
        try:
            response = await self.run(request)
        except trusted.DocumentRefusedError as error:
            response = _refused(error.http_status, error)
        except graphql.GraphQLError as error:
            response = _refused(status.HTTP_401_UNAUTHORIZED, error)
            response.headers["WWW-Authenticate"] = "Bearer"
        except HTTPException as error:
            response = _refused(error.status_code, _bad_request(error.reason))
        except _TooLargeError:
            message = f"The request is larger than {limits.BODY // 1024} KiB."
            large = graphql.GraphQLError(message, extensions={"code": "LIMIT_EXCEEDED"})
            response = _refused(status.HTTP_413_CONTENT_TOO_LARGE, large)
        if _MEDIA_TYPE in request.headers.get("accept", ""):
            response.headers["Content-Type"] = _MEDIA_TYPE
            if response.status_code == status.HTTP_200_OK:
                response.status_code = getattr(request.state, "status", status.HTTP_200_OK)
        return response

    async def get_context(
        self,
        request: requests.Request | websockets.WebSocket,
        response: responses.Response | websockets.WebSocket,
    ) -> context.Context:
        """Return what resolvers work with. Raises GraphQLError for a wrong token."""
        del response
        who = None
        token = _token(request.headers.get("authorization"))
        if token is not None:
            who = await self._parts.authenticate(token)
            if who is None and isinstance(request, requests.Request):
                raise extensions.unauthenticated()
        return context.Context(
            caller=who,
            reader=self._parts.reader,
            event_log=self._parts.event_log,
            application=self._parts.application,
            is_introspection_open=self._parts.is_introspection_open,
        )

    async def on_ws_connect(self, context: context.Context) -> Any:  # noqa: ANN401  as strawberry declares it
        """Take the token that the client sent first. Raises if it is wrong."""
        given = (context.connection_params or {}).get("authorization")
        if given is not None:
            context.caller = await self._parts.authenticate(_token(str(given)) or str(given))
            if context.caller is None:
                raise ConnectionRejectionError
        return strawberry.UNSET

    async def execute_single(self, *arguments: Any, **named: Any) -> ExecutionResult:  # noqa: ANN401  handed on as they are
        """Execute an operation within its time."""
        try:
            async with asyncio.timeout(limits.SECONDS):
                return await super().execute_single(*arguments, **named)
        except TimeoutError:
            error = graphql.GraphQLError(
                "This took too long: ask for less.", extensions={"code": "TIMEOUT"}
            )
            return ExecutionResult(data=None, errors=[error])

    async def parse_http_body(self, request: Any) -> GraphQLRequestData | list[GraphQLRequestData]:  # noqa: ANN401  an adapter of strawberry's
        """Return the operation. Raises HTTPException if the request holds none."""
        data = await super().parse_http_body(request)
        if not isinstance(data, GraphQLRequestData):
            return data
        if not isinstance(data.operation_name, str | None):
            raise HTTPException(400, "The `operationName` must be a string or null.")
        is_get = request.method == "GET"
        sent = request.query_params if is_get else self.parse_json(await request.get_body())
        data.query = self.documents.text(sent)
        return data

    def should_render_graphql_ide(self, request: Any) -> bool:  # noqa: ANN401  an adapter of strawberry's
        """Tell it that whoever names a document wants its answer."""
        return "documentId" not in request.query_params and super().should_render_graphql_ide(
            request
        )

    async def process_result(
        self, request: requests.Request, result: ExecutionResult
    ) -> GraphQLHTTPResponse:
        """Return the response; one that was never executed has no data."""
        response = await super().process_result(request, result)
        if isinstance(result, PreExecutionError):
            response.pop("data", None)  # as the specification wants it
            request.state.status = _status(result.errors or [])
        return response

    def decode_json(self, data: str | bytes) -> object:
        """Return a JSON object. Raises JSONDecodeError for anything else."""
        try:
            decoded = json.loads(data)
        except (UnicodeDecodeError, RecursionError) as error:
            raise json.JSONDecodeError("no JSON", "", 0) from error
        if not isinstance(decoded, dict):
            raise json.JSONDecodeError("no JSON object", "", 0)
        return decoded


def _is_message(message: Mapping[str, Any]) -> bool:
    if message.get("type") not in ("subscribe", "complete"):
        return isinstance(message.get("type"), str)
    if not isinstance(message.get("id"), str):
        return False
    if message["type"] == "complete":
        return True
    payload = message.get("payload")
    return (
        isinstance(payload, dict)
        and isinstance(
            payload.get("query"), str if payload.get("documentId") is None else str | None
        )
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )


def _asks(request: requests.Request) -> bool:
    """Tell whether a GET holds an operation."""
    return not request.query_params.keys().isdisjoint({"query", "documentId"})


def _token(header: str | None) -> str | None:
    if header is None or not header.lower().startswith(_BEARER):
        return None
    return header[len(_BEARER) :].strip()


def _limited(receive: types.Receive) -> types.Receive:
    """Return `receive` for a body of limited size."""
    received = 0

    async def limited() -> types.Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limits.BODY:
            raise _TooLargeError
        return message

    return limited


def _status(errors: list[graphql.GraphQLError]) -> int:
    codes = {(error.extensions or {}).get("code") for error in errors}
    if "UNAUTHENTICATED" in codes:
        return status.HTTP_401_UNAUTHORIZED
    if codes & {"INTERNAL", "UNAVAILABLE", "TIMEOUT"}:
        return status.HTTP_503_SERVICE_UNAVAILABLE
    return status.HTTP_400_BAD_REQUEST


def _bad_request(reason: str) -> graphql.GraphQLError:
    return graphql.GraphQLError(reason, extensions={"code": "BAD_USER_INPUT"})


def _refused(code: int, error: graphql.GraphQLError) -> responses.JSONResponse:
    return responses.JSONResponse({"errors": [error.formatted]}, status_code=code)
