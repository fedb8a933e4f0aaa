"""The protocol graphql-transport-ws, stricter than strawberry's own handler.

A frame that is no message of the protocol closes the connection with the protocol's code; an
operation that is wrong gets an `error`, and the connection goes on.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

import graphql
import psycopg
from starlette import status
from strawberry import asgi
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws import handlers
from strawberry.subscriptions.protocols.graphql_transport_ws import types as messages

from app import cancellation, websocket_protocol
from app.eventlog import command
from app.graphql import context, groups, limits, streams, trusted

PROTOCOL = "graphql-transport-ws"

_ENDINGS = {
    streams.End.STOPPING: (status.WS_1012_SERVICE_RESTART, "Service restart"),
    streams.End.EXPIRED: (4403, "Forbidden"),
    streams.End.GONE: (status.WS_1000_NORMAL_CLOSURE, ""),
}
_OF_THE_CONNECTION = ("connection_init", "ping", "pong")


_Operation: TypeAlias = handlers.Operation[context.Context, None]


class Handler(handlers.BaseGraphQLTransportWSHandler[context.Context, None]):
    """One connection."""

    async def handle(self) -> None:
        """Hold the connection, until either side ends it."""
        with self._view.streams.open(token=None) as stream:
            self._stream = stream
            ending = asyncio.create_task(self._end(stream))
            try:
                await super().handle()
            finally:
                await cancellation.end(ending)

    async def handle_message(self, message: Any) -> None:  # noqa: ANN401  whatever a client sent
        """Take a message; close the connection over anything else."""
        if not _is_message(message):
            await self.handle_invalid_message("This is no message of the protocol")
        else:
            await super().handle_message(message)

    async def handle_connection_init(self, message: messages.ConnectionInitMessage) -> None:
        """Let the client in; from now on its token is looked at again and again."""
        try:
            await super().handle_connection_init(message)
        except (psycopg.OperationalError, command.LogUnavailableError):
            code = status.WS_1013_TRY_AGAIN_LATER
            await self.websocket.close(code=code, reason="Try again later")
        self._stream.token, self._stream.who = self.context.token, self.context

    async def handle_subscribe(self, message: messages.SubscribeMessage) -> None:
        """Begin an operation, unless there are too many, or it is not trusted."""
        is_new = message["id"] not in self.operations
        if self.connection_acknowledged and is_new:
            try:
                message = self._admitted(message)
            except graphql.GraphQLError as error:
                await self.send_message(
                    {"id": message["id"], "type": "error", "payload": [error.formatted]}
                )
                return
        await super().handle_subscribe(message)

    def _admitted(self, message: messages.SubscribeMessage) -> messages.SubscribeMessage:
        """Return the message with the text of the document that it names. Raises GraphQLError."""
        most = self.max_subscriptions_per_connection
        if most is not None and len(self.operations) >= most:
            raise limits.exceeded(
                f"{most} operations are under way over this connection; no more are allowed."
            )
        payload: Any = message["payload"]
        payload = {**payload, "query": self._view.documents.text(payload)}
        return {**message, "payload": payload}

    async def run_operation(self, operation: _Operation) -> None:
        """Tell the results of an operation, until it or the connection ends."""
        asked = groups.Asked(operation.query, operation.variables, operation.operation_name)
        listener = _Listener(self, operation)
        results = self._view.groups.results(asked, who=self.context, listener=listener)
        try:
            async with contextlib.aclosing(results):
                await self._tell(operation, results, listener)
            await operation.send_operation_message({"id": operation.id, "type": "complete"})
        except Exception as error:  # noqa: BLE001  it is logged
            await self.handle_task_exception(error)
            with contextlib.suppress(Exception):  # the connection may be what is wrong
                await operation.send_operation_message({"id": operation.id, "type": "complete"})

    async def handle_task_exception(self, error: Exception) -> None:
        """Log an error; that the client has gone is none."""
        if not isinstance(error, WebSocketDisconnected):
            await super().handle_task_exception(error)

    async def _tell(
        self, operation: _Operation, results: groups.Results, listener: "_Listener"
    ) -> None:
        """Send results; a first one that is nothing but errors ends the operation."""
        async for result in results:
            if result.data is None and not listener.has_told:
                await operation.send_initial_errors(result.errors or [])
                return
            listener.has_told = True
            await operation.send_next(result)

    async def _end(self, stream: streams.Stream) -> None:
        """Close the connection when the stream ends from this side."""
        code, reason = _ENDINGS[await stream.ended]
        for operation in list(self.operations):
            await self.cleanup_operation(operation)
        with contextlib.suppress(RuntimeError):  # the client closed it in this very moment
            await self.websocket.close(code=code, reason=reason)

    @property
    def _view(self) -> "View":
        return cast("View", self.view)


class View(Protocol):
    """What a connection needs of the application that holds it."""

    documents: trusted.Documents
    groups: groups.Groups
    streams: streams.Streams


class _Listener:
    """An operation whose group writes to the connection: the bytes differ by its id only."""

    def __init__(self, handler: Handler, operation: _Operation) -> None:
        self.has_told = False
        self._handler = handler
        self._operation = operation
        socket = cast("asgi.ASGIWebSocketAdapter", handler.websocket)
        self._wire = websocket_protocol.wire(socket.ws.scope)
        self._head = f'{{"id":{json.dumps(operation.id)},"type":"next","payload":'.encode()

    def take(self, payloads: Sequence[bytes]) -> bool:
        """Send payloads without waiting, unless the client has ended the operation."""
        self.has_told = True
        is_wanted = self._handler.operations.get(self._operation.id) is self._operation
        return is_wanted and self._wire.send_texts(
            [self._head + payload + b"}" for payload in payloads]
        )

    async def drained(self) -> None:
        """Wait until the client keeps up."""
        await self._wire.drained()


def _is_message(message: object) -> bool:
    if not isinstance(message, Mapping) or not isinstance(message.get("type"), str):
        return False
    if message["type"] in _OF_THE_CONNECTION:
        return isinstance(message.get("payload", {}), dict)
    if message["type"] not in ("subscribe", "complete"):
        return False
    if not isinstance(message.get("id"), str) or not message["id"]:
        return False
    return message["type"] == "complete" or _is_payload(message.get("payload"))


def _is_payload(payload: object) -> bool:
    return (
        isinstance(payload, dict)
        and isinstance(
            payload.get("query"), str if payload.get("documentId") is None else str | None
        )
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
        and isinstance(payload.get("extensions"), dict | None)
    )
