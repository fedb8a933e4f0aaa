"""HTTP/1.1 as uvicorn speaks it with llhttp, with an end to what may come before a body."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http import httptools_impl

_LARGEST = 65_536  # bytes of a request line with its headers


class Protocol(httptools_impl.HttpToolsProtocol):
    """Refuses a request whose headers do not end, and sends an answer in one piece."""

    _unread = 0

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401  as uvicorn has it
        """Take a connection."""
        super().connection_made(transport)
        self._alone = transport
        self.transport = cast("asyncio.Transport", _Joined(transport))

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over as it came: a WebSocket is to see at once who keeps up."""
        self.transport = self._alone
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Take what came in; llhttp itself would take headers of any size."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > _LARGEST:
            self._unread = 0
            self.send_400_response("The headers are too large.")

    def on_headers_complete(self) -> None:
        """Begin to count anew."""
        self._unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Begin to count anew; the application has a limit of its own for bodies."""
        self._unread = 0
        super().on_body(body)


class _Joined:
    """A transport that sends at once what is written within one turn of the loop.

    Headers and body are written apart. To send is dear, and wakes the client each time.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever a transport has
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Is it closed, or about to be? Each request asks this."""
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send the data, with what else is written in this turn."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        """Send what was written, then close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        written, self._written = self._written, []
        if written:
            self._transport.write(b"".join(written))
