"""A line between the product and a server, which can fall silent and speak again."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_CHUNK = 65_536


class Lines:
    """All lines of a story; while they are silent, what was said waits and nothing is lost."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._speaks = asyncio.Event()
        self._listeners: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def running(self) -> Iterator["Lines"]:
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        self.speak()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def to(self, server: int | Path, *, but: bytes = b"") -> int:
        """Return the port of a new line to a server, which has a port or a socket.

        Who asks like `but` is heard even when the line is silent.
        """
        return asyncio.run_coroutine_threadsafe(self._open(server, but), self._loop).result()

    def fall_silent(self) -> None:
        self._do(self._speaks.clear)

    def speak(self) -> None:
        self._do(self._speaks.set)

    def _do(self, change: Callable[[], None]) -> None:
        """Make the change, and return when it is made."""

        async def done() -> None:
            change()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    async def _open(self, server: int | Path, but: bytes) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
            with contextlib.suppress(OSError):
                await self._join(server, but, reader, writer)

        listener = await asyncio.start_server(connected, "127.0.0.1", 0)
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    async def _join(
        self,
        server: int | Path,
        but: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Carry bytes to and fro until one side ends, which ends the other."""
        there, back = await _opened(server)
        with contextlib.closing(writer), contextlib.closing(back):
            ways = [
                asyncio.create_task(self._ask(reader, back, but)),
                asyncio.create_task(_answer(there, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def _ask(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, but: bytes
    ) -> None:
        while chunk := await source.read(_CHUNK):
            if not (but and chunk.startswith(but)):
                await self._speaks.wait()
            target.write(chunk)

    async def _end(self) -> None:
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


async def _opened(server: int | Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(server, Path):
        return await asyncio.open_unix_connection(server)
    return await asyncio.open_connection("127.0.0.1", server)


async def _answer(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        target.write(chunk)
