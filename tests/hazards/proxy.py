"""A line between a worker and a provider's server, which can be told to go wrong.

Each worker has lines of its own, so that what goes wrong is known to be that worker's.
"""

import asyncio
import contextlib
import enum
import threading
from collections.abc import Callable, Iterator

_CHUNK = 65_536

Watch = Callable[[bytes], "Fate"]
"""Sees what the worker sends, before it goes on, and decides what happens to it."""


class Fate(enum.Enum):
    """What becomes of a connection when the worker has sent something."""

    PASS = "it goes on, and so do the answers"
    LOSE = "neither it nor anything after it arrives; nobody is told"
    LOSE_ANSWERS = "it arrives, but no answer comes back"


class Lines:
    """Lines to servers, run by a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._listeners: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def running(self) -> Iterator["Lines"]:
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def open(self, *, host: str, port: int, watch: Watch) -> int:
        """Return the port of a new line to a server."""
        return asyncio.run_coroutine_threadsafe(self._open(host, port, watch), self._loop).result()

    async def _open(self, host: str, port: int, watch: Watch) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._connections.add(connection := _current())
            connection.add_done_callback(self._connections.discard)
            with contextlib.suppress(OSError):
                await _joined(host, port, watch, reader, writer)

        listener = await asyncio.start_server(connected, "127.0.0.1", 0)
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        for listener in self._listeners:
            listener.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)


def _current() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def _joined(
    host: str,
    port: int,
    watch: Watch,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Carry bytes to and fro until one side ends, which ends the other."""
    is_mute = asyncio.Event()
    with contextlib.closing(writer), contextlib.ExitStack() as stack:
        there, back = await _connected(host, port)
        stack.enter_context(contextlib.closing(back))
        ways = [
            asyncio.create_task(_asked(reader, back, watch, is_mute)),
            asyncio.create_task(_answered(there, writer, is_mute)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def _connected(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if host.startswith("/"):  # as PostgreSQL names the directory of its socket
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    return await asyncio.open_connection(host, port)


async def _asked(
    reader: asyncio.StreamReader,
    back: asyncio.StreamWriter,
    watch: Watch,
    is_mute: asyncio.Event,
) -> None:
    fate = Fate.PASS
    while chunk := await reader.read(_CHUNK):
        if fate is Fate.PASS and (fate := watch(chunk)) is not Fate.PASS:
            is_mute.set()
        if fate is not Fate.LOSE:
            back.write(chunk)


async def _answered(
    there: asyncio.StreamReader, writer: asyncio.StreamWriter, is_mute: asyncio.Event
) -> None:
    while chunk := await there.read(_CHUNK):
        if not is_mute.is_set():
            writer.write(chunk)
