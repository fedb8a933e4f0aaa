"""Many subscriptions in one process: no more work per message than counting it.

A listener speaks just enough of WebSocket and graphql-transport-ws to be sent frames.
"""

import asyncio
import base64
import json
import os
import urllib.parse
from collections.abc import Sequence

_MASK = 0x80
_TEXT = 0x81


class Listener(asyncio.Protocol):
    """One subscription over one connection; keeps the payloads that it is told."""

    def __init__(self, *, address: urllib.parse.SplitResult, token: str, document: str) -> None:
        self._address = address
        self._frames = (
            {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}},
            {"type": "subscribe", "id": "1", "payload": {"query": document}},
            {"type": "ping"},
        )
        self._buffer = b""
        self._is_open = False
        self.begun = asyncio.get_running_loop().create_future()
        self.told: list[bytes] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /graphql HTTP/1.1\r\nHost: {self._address.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._is_open, self._buffer = True, rest
            for frame in self._frames:
                self._send(json.dumps(frame).encode())
        self._take_frames()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.begun.done():
            self.begun.set_exception(error or ConnectionError("closed before it began"))

    def _take_frames(self) -> None:
        buffer, place = self._buffer, 0
        while len(buffer) - place >= 2:
            length, start = buffer[place + 1], place + 2
            if length == 126:
                length, start = int.from_bytes(buffer[start : start + 2], "big"), start + 2
            if len(buffer) < start + length:
                break
            if buffer[place] == _TEXT:
                self._take(buffer[start : start + length])
            elif buffer[place] == 0x89:
                self._send(buffer[start : start + length], opcode=0x8A)
            place = start + length
        self._buffer = buffer[place:]

    def _take(self, text: bytes) -> None:
        if b'"next"' in text[:40]:
            self.told.append(text)
        elif b'"pong"' in text and not self.begun.done():
            self.begun.set_result(None)
        else:
            assert b'"error"' not in text[:40], text

    def _send(self, text: bytes, *, opcode: int = _TEXT) -> None:
        assert self.transport is not None
        size = bytes([_MASK | len(text)])
        if len(text) >= 126:
            size = bytes([_MASK | 126]) + len(text).to_bytes(2, "big")
        self.transport.write(bytes([opcode]) + size + b"\0\0\0\0" + text)


async def listening(*, url: str, token: str, documents: Sequence[str]) -> list[Listener]:
    """Open a connection for each document, some at a time."""
    address = urllib.parse.urlsplit(url)
    loop = asyncio.get_running_loop()
    several = asyncio.Semaphore(50)

    async def one(document: str) -> Listener:
        async with several:
            _, listener = await loop.create_connection(
                lambda: Listener(address=address, token=token, document=document),
                address.hostname,
                address.port,
            )
            await listener.begun
            return listener

    return list(await asyncio.gather(*map(one, documents)))
