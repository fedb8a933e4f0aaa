"""Many subscriptions in one process, with next to no work per message: they need processors too.

A listener speaks just enough of WebSocket and graphql-transport-ws to be sent frames. What it was
sent is counted when it comes, and looked at when all have been told.
"""

import base64
import dataclasses
import json
import multiprocessing
import os
import select
import socket
import time
import urllib.parse
from collections.abc import Sequence
from multiprocessing import connection

_MASK = 0x80
_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A
_PATIENCE = 120.0  # seconds until the last message must be known everywhere


class _Listener:
    """One subscription over one connection; keeps the messages that it is told."""

    def __init__(self, *, address: urllib.parse.SplitResult, token: str, document: str) -> None:
        assert address.hostname is not None
        assert address.port is not None
        self.socket = socket.create_connection((address.hostname, address.port))
        self.told: list[bytes] = []
        self._buffer = b""
        self._shake_hands(address)
        self._send({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        self._send({"type": "subscribe", "id": "1", "payload": {"query": document}})
        self._send({"type": "ping"})
        while not any(b'"pong"' in text for text in self.told):
            self.take()
        assert len(self.told) == 2, self.told  # nothing but the acknowledgement and the pong
        self.told.clear()

    def take(self) -> None:
        """Take what has come in."""
        data = self.socket.recv(65_536)
        assert data, "closed"
        buffer, place = self._buffer + data, 0
        end = len(buffer)
        while end - place >= 2:
            length, start = buffer[place + 1], place + 2
            if length == 126:
                length, start = int.from_bytes(buffer[start : start + 2], "big"), start + 2
            if end < start + length:
                break
            text = buffer[start : start + length]
            if buffer[place] == _TEXT:
                self.told.append(text)
            else:
                assert buffer[place] == _PING, buffer
                self._send_frame(_PONG, text)
            place = start + length
        self._buffer = buffer[place:]

    def _shake_hands(self, address: urllib.parse.SplitResult) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /graphql HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(4096)
        assert head.startswith(b"HTTP/1.1 101"), head

    def _send(self, message: object) -> None:
        self._send_frame(_TEXT, json.dumps(message).encode())

    def _send_frame(self, opcode: int, text: bytes) -> None:
        size = bytes([_MASK | len(text)])
        if len(text) >= 126:
            size = bytes([_MASK | 126]) + len(text).to_bytes(2, "big")
        self.socket.sendall(bytes([opcode]) + size + b"\0\0\0\0" + text)


@dataclasses.dataclass(frozen=True)
class Heard:
    """What all have been told."""

    at: float
    """The moment of the last message, by the monotonic clock."""
    processor_seconds: float
    """What the listeners needed to hear it."""
    messages: list[list[bytes]]
    """Of one listener for each document."""


class Listeners:
    """A process with a subscription for each document."""

    def __init__(self, *, url: str, token: str, documents: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_listen, args=(there, url, token, documents))
        self._process.start()
        there.close()
        assert self._here.recv() == len(documents)

    def heard(self, each: int) -> Heard:
        """Wait until each listener was told so many messages; all end then."""
        self._here.send(each)
        assert self._here.poll(_PATIENCE), "not all have been told everything"
        heard: Heard = self._here.recv()
        self._process.join()
        return heard


def _listen(there: connection.Connection, url: str, token: str, documents: Sequence[str]) -> None:
    address = urllib.parse.urlsplit(url)
    open_ = [_Listener(address=address, token=token, document=each) for each in documents]
    there.send(len(open_))
    used = time.process_time()
    by_file = {each.socket.fileno(): each for each in open_}
    poll = select.epoll()
    for file in (there.fileno(), *by_file):
        poll.register(file, select.EPOLLIN)
    wanted = None
    while wanted is None or any(len(each.told) < wanted for each in open_):
        for file, _ in poll.poll():
            if file == there.fileno():
                wanted = there.recv()
            else:
                by_file[file].take()
    at, used = time.monotonic(), time.process_time() - used
    first: dict[str, list[bytes]] = {}
    for document, each in zip(documents, open_, strict=True):
        # All are told the same in the same order, that of the log.
        assert each.told == first.setdefault(document, each.told), document
    there.send(Heard(at=at, processor_seconds=used, messages=list(first.values())))
