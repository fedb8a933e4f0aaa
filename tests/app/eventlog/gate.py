import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import psycopg_pool

from app.eventlog import connections


class Gate:
    """A proxy before the server that can stop passing bytes without closing anything."""

    def __init__(self, database: str) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(database)
        self._database = database
        self._socket_path = f"{parts['host']}/.s.PGSQL.{parts.get('port', 5432)}"
        self._writers: list[asyncio.StreamWriter] = []
        self.is_open = asyncio.Event()
        self.is_open.set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Yield the connection string of the database behind it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            port = server.sockets[0].getsockname()[1]
            yield psycopg.conninfo.make_conninfo(self._database, host="127.0.0.1", port=port)
        finally:
            server.close()
            self.is_open.set()
            for writer in self._writers:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._socket_path)
        self._writers += [writer, far_writer]
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self.is_open.wait()
                writer.write(data)
        writer.close()


class FallingSilent(connections.Connections):
    """Opens connections; behind the first one, the server falls silent once it is open."""

    def __init__(self, *, conninfo: str, gate: Gate) -> None:
        super().__init__(pool=psycopg_pool.AsyncConnectionPool(conninfo, open=False), seconds=5.0)
        self._gate = gate
        self.has_opened = False
        self.has_opened_again = asyncio.Event()

    async def open(self, *, purpose: str, options: str = "") -> connections.Connection:
        self._gate.is_open.set()
        opened = await super().open(purpose=purpose, options=options)
        if self.has_opened:
            self.has_opened_again.set()
        else:
            self._gate.is_open.clear()
        self.has_opened = True
        return opened
