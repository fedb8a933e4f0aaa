"""WebSocket as uvicorn speaks it, with a way to send many messages at once."""

import struct
from collections.abc import Iterable
from typing import Protocol as Interface

from starlette import types
from uvicorn.protocols.websockets import websockets_sansio_impl

_EXTENSION = "servicebook.wire"
_TEXT = 0x81  # a whole message, as servers send it: without a mask
_SHORT, _MEDIUM = 126, 65_536  # bytes; from there on the length takes more space


class Wire(Interface):
    """A connection, beside what ASGI offers: there each message costs a task its turn."""

    def send_texts(self, texts: Iterable[bytes]) -> bool:
        """Send messages without waiting; return whether the client keeps up with them."""

    async def drained(self) -> None:
        """Wait until the client keeps up, or is gone."""


class Protocol(websockets_sansio_impl.WebSocketsSansIOProtocol):
    """One connection."""

    async def run_asgi(self) -> None:
        """Hand the wire to the application."""
        self.scope["extensions"] = {**(self.scope["extensions"] or {}), _EXTENSION: {"wire": self}}
        await super().run_asgi()

    def send_texts(self, texts: Iterable[bytes]) -> bool:
        """Send messages without waiting; return whether the client keeps up with them."""
        if self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(b"".join([part for text in texts for part in (_head(text), text)]))
        return self.writable.is_set()

    async def drained(self) -> None:
        """Wait until the client keeps up, or is gone."""
        await self.writable.wait()


def wire(scope: types.Scope) -> Wire:
    """Return the wire of a connection that this protocol serves."""
    found: Wire = scope["extensions"][_EXTENSION]["wire"]
    return found


def _head(text: bytes) -> bytes:
    size = len(text)
    if size < _SHORT:
        return bytes((_TEXT, size))
    if size < _MEDIUM:
        return struct.pack("!BBH", _TEXT, 126, size)
    return struct.pack("!BBQ", _TEXT, 127, size)
