"""An outlet to NATS JetStream: every event once, in order, whatever is restarted or killed.

Nothing is kept of how far it has come, for the stream itself tells: its last message holds a
position, and the server takes a message only right after the one that was last when it was made.
So two of these at once double nothing, the late one looks again and goes on behind the other; one
that waits beside another takes its place when it ends.

A message is the line that an export holds, of the content type application/cloudevents+json; its
subject is `PREFIX.TYPE.SUBJECT`, its Nats-Msg-Id the id of the event.
"""

import asyncio
import contextlib
import logging
import urllib.parse
from collections.abc import AsyncGenerator
from typing import NamedTuple

import msgspec
import nats
import nats.aio.client
import nats.errors
import nats.js.api
import nats.js.errors

from app.audit import exporting, feed
from app.eventlog import command, epochs

_PAUSE = 0.5  # seconds
_TO_CONNECT = 5.0  # seconds
_TO_ANSWER = 10.0  # seconds, for a chunk
_WRONG_SEQUENCE = 10071
"""The server's code for a message that does not follow the last one."""
_logger = logging.getLogger(__name__)


class UnreachableError(Exception):
    """There is no NATS, or it does not let us in."""


class ForeignStreamError(Exception):
    """The stream does not end with an event of this log; the text says what to do."""


class _LateError(nats.js.errors.Error):
    """Another one has published meanwhile."""


class Stream(NamedTuple):
    """Where events go; `prefix` is what their subjects begin with."""

    name: str
    prefix: str


class _Event(msgspec.Struct):
    """What a message's headers and subject tell of its line."""

    id: str
    type: str
    subject: str
    position: str
    source: str


class _End(NamedTuple):
    """How far a stream has come: its last sequence number, and the position in that message."""

    sequence: int
    place: epochs.Place | None


_events = msgspec.json.Decoder(_Event)


async def connect(url: str) -> nats.aio.client.Client:
    """Connect, and from now on again whenever the connection is lost. Raises UnreachableError."""
    problems: list[Exception] = []

    async def note(error: Exception) -> None:
        problems.append(error)
        _logger.info("NATS: %s", error)

    try:
        async with asyncio.timeout(_TO_CONNECT):
            return await nats.connect(
                url, name="servicebook", error_cb=note, max_reconnect_attempts=-1
            )
    except (TimeoutError, OSError, nats.errors.Error) as error:
        place = urllib.parse.urlsplit(url)
        reason = (problems or [error])[-1]
        raise UnreachableError(
            f"Cannot connect to NATS at {place.hostname}:{place.port or 4222}: {reason}"
        ) from error


class Outlet:
    """Publishes the events of a log, as an export selects them."""

    def __init__(
        self,
        *,
        client: nats.aio.client.Client,
        stream: Stream,
        feed: feed.Feed,
        export: exporting.Export,
        source: str,
    ) -> None:
        self._client = client
        self._jetstream = client.jetstream(timeout=_TO_ANSWER)
        self._stream = stream
        self._feed = feed
        self._export = export
        self._source = source

    async def prepare(self) -> None:
        """Make the stream if it is not there, to keep everything for ever."""
        try:
            await self._jetstream.stream_info(self._stream.name)
        except nats.js.errors.NotFoundError:
            await self._jetstream.add_stream(
                name=self._stream.name,
                subjects=[f"{self._stream.prefix}.>"],
                storage=nats.js.api.StorageType.FILE,
                description="The event log of Servicebook",
            )

    async def run(self, *, begin_after: epochs.Place | None, follows: bool) -> None:
        """Publish what is not there yet, and, if it follows, what comes.

        An empty stream begins after a position. What goes wrong on the way is tried again for
        ever. Raises ForeignStreamError, and LogDivergedError if the log was restored to a point
        before what the stream holds.
        """
        while True:
            try:
                await self._run(begin_after, follows=follows)
            except (nats.errors.Error, TimeoutError, command.LogUnavailableError) as error:
                level = logging.INFO if isinstance(error, _LateError) else logging.WARNING
                _logger.log(level, "looks again where the stream ends, since: %s", error)
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def _run(self, begin_after: epochs.Place | None, *, follows: bool) -> None:
        end = await self._end()
        place = end.place if end.place is not None else begin_after
        head = await self._feed.start(after=place)
        after, sequence = place or 0, end.sequence
        chunks: AsyncGenerator[exporting.Chunk, None] = (
            self._feed.follow(self._export, after=after)
            if follows
            else self._feed.read(self._export, after=after, until=head)
        )
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                sequence = await self._publish(chunk.text.splitlines(), after=sequence)

    async def _end(self) -> _End:
        """Return where the stream ends. Raises ForeignStreamError."""
        state = (await self._jetstream.stream_info(self._stream.name)).state
        if state.last_seq == 0:
            return _End(0, None)
        try:
            last = await self._jetstream.get_msg(self._stream.name, seq=state.last_seq)
            event = _events.decode(last.data or b"")
        except (nats.js.errors.NotFoundError, msgspec.DecodeError) as error:
            raise ForeignStreamError(
                f"The last message of the stream {self._stream.name} is gone, or no event: how far "
                "it has come cannot be told. Publish to another stream."
            ) from error
        if event.source != self._source:
            raise ForeignStreamError(
                f"The stream {self._stream.name} holds events of {event.source}, not of "
                f"{self._source}. Publish to another stream."
            )
        return _End(state.last_seq, epochs.Place.parsed(event.position))

    async def _publish(self, lines: list[bytes], *, after: int) -> int:
        """Publish lines all at once, each to follow the one before; return the last number."""
        answers: list[asyncio.Future[nats.js.api.PubAck]] = []
        try:
            async with asyncio.timeout(_TO_ANSWER):
                for number, line in enumerate(lines, after):
                    answers.append(await self._send(line, after=number))
                results = await asyncio.gather(*answers, return_exceptions=True)
        finally:
            for answer in answers:
                answer.cancel()
        # The first refusal is why those after it were refused.
        for result in results:
            if isinstance(result, nats.js.errors.APIError) and result.err_code == _WRONG_SEQUENCE:
                raise _LateError(str(result)) from result
            if isinstance(result, BaseException):
                raise result
            if result.duplicate:
                raise _LateError("it was published before")
        return after + len(lines)

    async def _send(self, line: bytes, *, after: int) -> "asyncio.Future[nats.js.api.PubAck]":
        event = _events.decode(line)
        return await self._jetstream.publish_async(
            f"{self._stream.prefix}.{event.type}.{event.subject}",
            line,
            stream=self._stream.name,
            headers={
                "Content-Type": "application/cloudevents+json",
                nats.js.api.Header.MSG_ID: event.id,
                nats.js.api.Header.EXPECTED_LAST_SEQUENCE: str(after),
            },
        )
