"""GraphQL over Server-Sent Events, in distinct connections mode: one operation, one request."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable

from starlette import responses, types

from app import cancellation
from app.graphql import context, extensions, groups, negotiation, replies, sharing
from app.graphql import streams as open_streams

_SILENCE = 12.0  # seconds; then a comment tells whoever stands between that this is alive
_MOST = 100  # events that wait to be sent
_PING = b": ping\n\n"
_COMPLETE = b"event: complete\ndata:\n\n"

_HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


class EventStream(responses.Response):
    """Tells the results of an operation until it, or the stream, ends."""

    media_type = negotiation.MediaType.EVENTS.value

    def __init__(
        self,
        *,
        asked: groups.Asked,
        who: context.Context,
        groups: groups.Groups,
        streams: open_streams.Streams,
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._asked = asked
        self._who = who
        self._groups = groups
        self._streams = streams

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Send the events."""
        del scope
        with self._streams.open(token=self._who.token, who=self._who) as stream:
            listening = asyncio.create_task(_until_gone(receive, stream))
            try:
                await send(
                    {
                        "type": "http.response.start",
                        "status": self.status_code,
                        "headers": self.raw_headers,
                    }
                )
                async with contextlib.aclosing(self._events(stream)) as told:
                    async for events in told:
                        body = {"type": "http.response.body", "body": events, "more_body": True}
                        await send(body)
                await send({"type": "http.response.body", "body": b""})
            finally:
                await cancellation.end(listening)

    async def _events(self, stream: open_streams.Stream) -> AsyncGenerator[bytes, None]:
        outbox = _Outbox()
        telling = asyncio.create_task(self._tell(outbox))
        try:
            told = open_streams.until_ended(outbox.events(), stream=stream, seconds=_SILENCE)
            async with contextlib.aclosing(told):
                async for events in told:
                    yield _PING if events is None else events
            if telling.done():
                await telling
        finally:
            await cancellation.end(telling)
        if stream.ended.done() and stream.ended.result() is open_streams.End.EXPIRED:
            yield _next(_written({"errors": [extensions.unauthenticated().formatted]}))
        yield _COMPLETE

    async def _tell(self, outbox: "_Outbox") -> None:
        results = self._groups.results(self._asked, who=self._who, listener=outbox)
        try:
            async with contextlib.aclosing(results):
                async for result in results:
                    outbox.take([_written(replies.formatted(result))])
                    await outbox.drained()
        finally:
            outbox.close()


class _Outbox:
    """What is due; all of it is sent at once."""

    def __init__(self) -> None:
        self._due: list[bytes] = []
        self._is_closed = False
        self._filled, self._drained = asyncio.Event(), asyncio.Event()
        self._drained.set()

    def take(self, payloads: Iterable[bytes]) -> bool:
        """Take payloads without waiting; return whether there may be more."""
        self._due += map(_next, payloads)
        self._filled.set()
        if len(self._due) >= _MOST:
            self._drained.clear()
        return self._drained.is_set()

    async def drained(self) -> None:
        """Wait until there may be more."""
        await self._drained.wait()

    def close(self) -> None:
        """Take nothing more."""
        self._is_closed = True
        self._filled.set()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Yield what is due, until it is closed and empty."""
        while self._due or not self._is_closed:
            await self._filled.wait()
            self._filled.clear()
            due, self._due = self._due, []
            self._drained.set()
            if due:
                yield b"".join(due)


async def _until_gone(receive: types.Receive, stream: open_streams.Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end(open_streams.End.GONE)


def _written(payload: object) -> bytes:
    return sharing.written(payload).encode()


def _next(payload: bytes) -> bytes:
    return b"event: next\ndata: " + payload + b"\n\n"
