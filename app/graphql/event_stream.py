"""GraphQL over Server-Sent Events, in distinct connections mode: one operation, one request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette import responses, types
from strawberry.types import ExecutionResult

from app import cancellation
from app.graphql import extensions, negotiation, sharing
from app.graphql import streams as open_streams

_SILENCE = 12.0  # seconds; then a comment tells whoever stands between that this is alive
_PING = b": ping\n\n"
_COMPLETE = b"event: complete\ndata:\n\n"

_HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


class EventStream(responses.Response):
    """Tells the results of an operation until it, or the stream, ends."""

    media_type = negotiation.MediaType.EVENTS.value

    def __init__(
        self,
        *,
        results: Callable[[], Any],
        formatted: Callable[[ExecutionResult], Any],
        streams: open_streams.Streams,
        token: str | None,
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._results = results
        self._formatted = formatted
        self._streams = streams
        self._token = token

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Send the events."""
        del scope
        with self._streams.open(token=self._token) as stream:
            listening = asyncio.create_task(_until_gone(receive, stream))
            try:
                await send(
                    {
                        "type": "http.response.start",
                        "status": self.status_code,
                        "headers": self.raw_headers,
                    }
                )
                async for event in self._events(stream):
                    await send({"type": "http.response.body", "body": event, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            finally:
                await cancellation.end(listening)

    async def _events(self, stream: open_streams.Stream) -> AsyncIterator[bytes]:
        source = await self._results()
        async for result in open_streams.until_ended(source, stream=stream, seconds=_SILENCE):
            yield _PING if result is None else _next(self._formatted(result))
        if stream.ended.done() and stream.ended.result() is open_streams.End.EXPIRED:
            yield _next({"errors": [extensions.unauthenticated().formatted]})
        yield _COMPLETE


async def _until_gone(receive: types.Receive, stream: open_streams.Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end(open_streams.End.GONE)


def _next(payload: object) -> bytes:
    return b"event: next\ndata: " + sharing.written(payload).encode() + b"\n\n"
