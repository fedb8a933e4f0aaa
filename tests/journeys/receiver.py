"""A receiver of webhooks, as a user would write one, that answers as the story says."""

import base64
import contextlib
import dataclasses
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.journeys import product as products

SECRET = b"a key of the story: 32 bytes...."
SIGNING_KEY = f"whsec_{base64.b64encode(SECRET).decode()}"


@dataclasses.dataclass(frozen=True)
class Message:
    """What came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_signed(self) -> bool:
        """Verify as a receiver does that knows nothing of the sender but the key."""
        text = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode()
        digest = hmac.new(SECRET, text + self.body, hashlib.sha256).digest()
        return self.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.document["data"])


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the receiver answers; with `hangs` it answers nothing until the story ends."""

    status: int = 202
    document: Mapping[str, object] = dataclasses.field(default_factory=dict)
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hangs: bool = False


class Receiver:
    """Keeps what came in; answers by `answer`, which the story may replace."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.answer: Callable[[Message], Answer] = lambda message: Answer()  # noqa: ARG005  the same for all
        self.is_over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator["Receiver"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.is_over.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def sent(self, count: int = 1, *, kind: str = "deployment.release") -> Message:
        """Wait until so many messages of a kind came in, and return the last one."""

        def came() -> Message | None:
            found = [
                each
                for each in list(self.messages)
                if each.method == "POST" and each.document["type"] == kind
            ]
            return found[count - 1] if len(found) >= count else None

        return products.until(came, f"message {count} of type {kind} comes")


def fetch(message: Message) -> httpx.Response:
    """Fetch the variables as the message says."""
    return httpx.get(message.data["variablesUrl"], headers=_bearer(message), timeout=10)


def tell(message: Message, outcome: str, **more: str) -> httpx.Response:
    """Tell how the release ended."""
    return httpx.post(
        message.data["resultUrl"],
        json={"outcome": outcome, **more},
        headers=_bearer(message),
        timeout=10,
    )


def _bearer(message: Message) -> dict[str, str]:
    return {"authorization": f"Bearer {message.data['token']}"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as the library has it
        """Say nothing."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        message = Message(self.command, self.path, headers, body)
        receiver = self.server.receiver
        receiver.messages.append(message)
        answer = receiver.answer(message)
        if answer.hangs:
            receiver.is_over.wait()
            self.close_connection = True
            return
        text = json.dumps(answer.document).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
