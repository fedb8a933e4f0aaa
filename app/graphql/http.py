"""The API over HTTP and WebSocket.

Follows GraphQL over HTTP (POST and GET, both media types), GraphQL over Server-Sent Events, and
`graphql-transport-ws`. The token comes as `Authorization: Bearer …`, over a WebSocket also as
`authorization` in the payload of `connection_init`.
"""

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import graphql
import psycopg
import strawberry
from starlette import requests, responses, status, types, websockets
from strawberry import asgi, subscriptions
from strawberry.exceptions import ConnectionRejectionError
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from app.access import bearer, caller
from app.audit import proofs
from app.eventlog import command, log
from app.graphiql import serving
from app.graphql import (
    asked,
    context,
    costs,
    event_stream,
    extensions,
    groups,
    limits,
    negotiation,
    patience,
    reading,
    replies,
    sharing,
    shortcut,
    streams,
    tracing,
    trusted,
    websocket,
)

_OVER_GET = frozenset({OperationType.QUERY})
_OVER_POST = _OVER_GET | {OperationType.MUTATION}
_NOBODY = 499  # as proxies log it: nobody is there to read it


@dataclasses.dataclass(frozen=True)
class Conduct:
    """How connections are treated."""

    allowed_origins: tuple[str, ...] = ()
    """Of other sites whose pages may connect."""
    seconds_to_begin: float = 5.0
    """For a WebSocket client to say who it is."""
    seconds_between_checks: float = 30.0
    """Of the tokens of open streams."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """What the API works with."""

    reader: reading.Reader
    event_log: log.EventLog
    application: Any  # the use cases; only mutations look inside
    authenticate: context.Authenticate
    remembered: Callable[[str], caller.Caller | None]
    """Returns whoever a token spoke for a moment ago, if statements prove that it still does."""
    proofs: proofs.Proofs
    documents: trusted.Documents
    is_introspection_open: bool
    conduct: Conduct = dataclasses.field(default_factory=Conduct)


class GraphQLApp(asgi.GraphQL[context.Context, None]):
    """The ASGI application of the API."""

    graphql_transport_ws_handler_class = websocket.Handler

    def __init__(self, *, schema: strawberry.Schema, parts: Parts) -> None:
        self._allowed = limits.of(schema._schema)  # noqa: SLF001  strawberry offers no other way
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(subscriptions.GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=timedelta(seconds=parts.conduct.seconds_to_begin),
            max_subscriptions_per_connection=self._allowed.operations,
            allowed_origins=parts.conduct.allowed_origins,
        )
        self._parts = parts
        self.documents = parts.documents
        self._watches = patience.watches()
        self._shortcut = shortcut.Shortcut(
            schema=schema, reader=parts.reader, watches=self._watches
        )
        self._purses = costs.Purses(budget=self._allowed.budget)
        self.groups = groups.Groups(schema)
        self.streams = streams.Streams(
            authenticate=self._authenticated,
            renewed=self.groups.renew,
            seconds_between_checks=parts.conduct.seconds_between_checks,
        )

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Answer a request, or hold a connection."""
        if scope["type"] == "websocket":
            await self._connect(websockets.WebSocket(scope, receive=receive, send=send))
            return
        request = requests.Request(scope, receive)
        is_page = request.method in ("GET", "HEAD") and not asked.holds_one(request)
        if is_page and serving.wants_page(request.headers):
            response = await serving.page(request)
        else:
            response = await self._answer(request)
        await response(scope, receive, send)

    async def _connect(self, socket: websockets.WebSocket) -> None:
        """Hold a connection of the one protocol; others are refused before they are accepted."""
        if websocket.PROTOCOL not in socket.scope["subprotocols"]:
            await socket.close()
        else:
            await self.run(socket)

    async def _answer(self, request: requests.Request) -> responses.Response:
        try:
            wanted = negotiation.wanted(request)
        except negotiation.RefusedRequestError as error:
            return replies.not_taken(error)
        media_type = wanted.json or negotiation.MediaType.JSON
        try:
            return await self._executed(request, wanted)
        except negotiation.RefusedRequestError as error:
            return replies.not_taken(error, media_type)
        except trusted.DocumentRefusedError as error:
            return replies.refused(error.http_status, error, media_type)
        except graphql.GraphQLError as error:
            response = replies.refused(status.HTTP_401_UNAUTHORIZED, error, media_type)
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        except patience.ClientLeftError:
            return responses.Response(status_code=_NOBODY)
        except (psycopg.OperationalError, command.LogUnavailableError) as error:
            unavailable = extensions.unavailable(error)
            return replies.refused(status.HTTP_503_SERVICE_UNAVAILABLE, unavailable, media_type)
        except Exception as error:  # noqa: BLE001  `shown` logs what nobody anticipated
            masked = extensions.shown(extensions.located(error))
            return replies.refused(status.HTTP_500_INTERNAL_SERVER_ERROR, masked, media_type)

    async def _executed(
        self, request: requests.Request, wanted: negotiation.Wanted
    ) -> responses.Response:
        response = responses.Response()
        who = await self.get_context(request, response)
        operation = await asked.read(
            request, documents=self.documents, allowed=self._allowed, watches=self._watches
        )
        may_be = _OVER_GET if request.method == "GET" else _OVER_POST
        is_stream = wanted.json is None
        if wanted.has_events and not is_stream:
            is_stream = extensions.is_subscription(operation, allowed=self._allowed)
        if wanted.json is not None:
            answer = await self._shortly(operation, who, request)
            if answer is not None:
                return replies.reply(answer, wanted.json)
        await self._require_proven(who)
        given: dict[str, Any] = {
            "variable_values": operation.variables,
            "context_value": who,
            "operation_name": operation.operation_name,
        }
        if is_stream:
            return event_stream.EventStream(
                asked=groups.Asked(
                    operation.query,
                    operation.variables,
                    operation.operation_name,
                    may_be=may_be | {OperationType.SUBSCRIPTION},
                ),
                who=dataclasses.replace(who, authenticate=self._authenticated),
                groups=self.groups,
                streams=self.streams,
            )
        try:
            result = await self.schema.execute(
                operation.query, allowed_operation_types=may_be, **given
            )
        except InvalidOperationTypeError as error:
            raise negotiation.wrong_way(error.operation_type) from error
        return replies.reply(result, wanted.json or negotiation.MediaType.JSON)

    async def _shortly(
        self, operation: asked.Asked, who: context.Context, request: requests.Request
    ) -> shortcut.Answer | None:
        """Answer without the executor, if that is possible."""
        may_change = request.method == "POST"
        for _ in range(2):
            try:
                return await self._shortcut.answer(
                    operation, who=who, may_change=may_change, receive=request.receive
                )
            except caller.UnprovenError:
                await self._require_proven(who)
        raise AssertionError("unreachable: nobody is remembered who has just signed in")

    async def _require_proven(self, who: context.Context) -> None:
        """Let a remembered caller sign in. Raises GraphQLError if the token is wrong by now."""
        if who.caller is not None and who.caller.proof is not None and who.token is not None:
            who.caller = await self._authenticated(who.token)
            if who.caller is None:
                raise extensions.unauthenticated()

    async def get_context(
        self,
        request: requests.Request | websockets.WebSocket,
        response: responses.Response | websockets.WebSocket,
    ) -> context.Context:
        """Return what resolvers work with. Raises GraphQLError for a wrong token."""
        del response
        who = None
        token = bearer.token(request.headers.get("authorization"))
        if token is not None and isinstance(request, requests.Request):
            who = self._parts.remembered(token) or await self._authenticated(token)
            if who is None:
                raise extensions.unauthenticated()
        return context.Context(
            caller=who,
            reader=self._parts.reader,
            event_log=self._parts.event_log,
            application=self._parts.application,
            proofs=self._parts.proofs,
            is_introspection_open=self._parts.is_introspection_open,
            purses=self._purses,
            address=request.client.host if request.client else "",
            token=token,
            authenticate=self._authenticated if isinstance(request, websockets.WebSocket) else None,
            traceparent=tracing.traceparent(request.headers.get("traceparent")),
        )

    async def on_ws_connect(self, context: context.Context) -> Any:  # noqa: ANN401  as strawberry declares it
        """Take the token of the first message, or of the handshake. Raises if it is wrong."""
        given = (context.connection_params or {}).get("authorization")
        if given is not None:
            context.token = bearer.token(str(given)) or str(given)
        if context.token is not None:
            context.caller = await self._authenticated(context.token)
            if context.caller is None:
                raise ConnectionRejectionError
        return strawberry.UNSET

    async def _authenticated(self, token: str) -> caller.Caller | None:
        """Return who it is. Raises LogUnavailableError if that takes too long."""
        try:
            with patience.Patience(self._allowed.seconds, watches=self._watches):
                return await self._parts.authenticate(token)
        except TimeoutError as error:
            raise command.LogUnavailableError from error

    def encode_json(self, data: object) -> str:
        """Return the text of a WebSocket frame."""
        return sharing.written(data)

    def decode_json(self, data: str | bytes) -> object:
        """Return the value of a WebSocket frame. Raises JSONDecodeError for anything else."""
        try:
            return asked.decoded(data)
        except negotiation.RefusedRequestError as error:
            raise json.JSONDecodeError("no JSON", "", 0) from error
