"""GET /audit/events: the log as a stream, an event a line or an event of Server-Sent Events.

    after=…            begin after this position; SSE's Last-Event-ID is the same, and wins
    until=…            end with this position
    follow=1           stay, and go on with what comes
    event=… subject=… project=… environment=… actor=… correlationId=…
    recordedFrom=… recordedBefore=…

Each line is a CloudEvent 1.0.2 in JSON, and a leaf of the Merkle tree. A follower is told of
silence by an event of the type `PositionReached`, in SSE by an id without data: the position is
safe to go on from. Without `follow`, `Servicebook-Position` is where the answer ends.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import cast
from uuid import UUID

from psycopg import sql
from starlette import types
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.access import caller
from app.audit import asked, compression, exporting, feed, lines, selecting
from app.eventlog import epochs
from app.graphql import streams as open_streams
from app.graphql.compiler import access

_SSE = "text/event-stream"
_NDJSON = "application/x-ndjson"
_SILENCE = 60.0  # seconds; the feed itself tells of shorter ones
_SMALL = 65_536  # bytes that are encoded sooner than handed to a thread


class Stream:
    """Answers requests for events."""

    def __init__(
        self,
        *,
        feed: feed.Feed,
        log_id: UUID,
        streams: open_streams.Streams,
    ) -> None:
        self._feed = feed
        self._log_id = log_id
        self._streams = streams

    async def answer(self, request: Request, who: caller.Caller, *, token: str) -> Response:
        """Return the stream that is asked for.

        Raises BadRequestError, LogDivergedError and LogUnavailableError before it begins.
        """
        is_sse = _SSE in request.headers.get("accept", "")
        wanted = asked.read(request.query_params.multi_items())
        place = asked.position(request.headers.get("last-event-id"), name="Last-Event-ID")
        if place is None:
            place = wanted.after
        head = await self._feed.start(after=place)
        after = place or 0
        until = head if wanted.until is None else min(head, wanted.until)
        export = self._export(wanted.selection, who, is_sse=is_sse)
        headers = {"Vary": "Accept, Accept-Encoding", "X-Accel-Buffering": "no"}
        if wanted.follows:
            chunks = self._feed.follow(export, after=after, until=wanted.until)
            chunks = self._followed(chunks, who, token, is_sse=is_sse)
        else:
            headers["Servicebook-Position"] = self._feed.place(max(after, until))
            chunks = self._feed.read(export, after=after, until=until)
        name, encoder = compression.chosen(request.headers.get("accept-encoding", ""))
        if name is not None:
            headers["Content-Encoding"] = name
        return _Streamed(
            _encoded(chunks, encoder), headers=headers, media_type=_SSE if is_sse else _NDJSON
        )

    def _export(
        self, selection: selecting.Selection, who: caller.Caller, *, is_sse: bool
    ) -> exporting.Export:
        condition, values = selection.conditions()
        seen, more = access.visible_to(who, table="ledger.events", there=selecting.THERE)
        return exporting.Export(
            framing=exporting.Framing.EVENTS if is_sse else exporting.Framing.LINES,
            condition=sql.SQL("{} AND {}").format(condition, seen),
            values={**values, **more},
        )

    async def _followed(
        self,
        chunks: AsyncGenerator[exporting.Chunk, None],
        who: caller.Caller,
        token: str,
        *,
        is_sse: bool,
    ) -> AsyncGenerator[exporting.Chunk, None]:
        """Put the news that there is none into words; end as all streams of this process do."""
        # Whoever comes again after a restore is told LOG_DIVERGED.
        diverged = contextlib.suppress(epochs.LogDivergedError)
        with diverged, self._streams.open(token=token, chosen_for=who) as stream:
            news = open_streams.until_ended(chunks, stream=stream, seconds=_SILENCE)
            async with contextlib.aclosing(news):
                async for chunk in news:
                    if chunk is None:
                        continue
                    place = self._feed.place(chunk.position)
                    silence = self._silence(place, is_sse=is_sse)
                    yield exporting.Chunk(chunk.position, chunk.text or silence)

    def _silence(self, place: str, *, is_sse: bool) -> bytes:
        if is_sse:
            return f"id: {place}\n\n".encode()
        return (
            f'{{"id":"position-{place}","position":"{place}",'
            f'"source":"{lines.source(self._log_id)}",'
            '"specversion":"1.0","type":"PositionReached"}\n'
        ).encode()


class _Streamed(StreamingResponse):
    """Lets go of what it streams, however it ends."""

    async def stream_response(self, send: types.Send) -> None:
        """Stream."""
        async with contextlib.aclosing(cast("AsyncGenerator[bytes, None]", self.body_iterator)):
            await super().stream_response(send)


async def _encoded(
    chunks: AsyncGenerator[exporting.Chunk, None], encoder: compression.Encoder | None
) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            if not chunk.text:
                continue
            if encoder is None:
                yield chunk.text
            elif len(chunk.text) < _SMALL:
                yield encoder.encode(chunk.text)
            else:
                yield await asyncio.to_thread(encoder.encode, chunk.text)
    if encoder is not None:
        yield encoder.end()
