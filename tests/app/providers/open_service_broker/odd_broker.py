"""A broker that behaves well until it is told not to; it writes down what it is asked."""

import base64
import contextlib
import dataclasses
import json
import ssl
import threading
import uuid
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

USERNAME, PASSWORD = "servicebook", "broker-password-73"
CREDENTIALS = {"uri": "http://u:bound-password-91@search.example:9200", "port": 9200}


@dataclasses.dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, object] | None
    headers: Mapping[str, str]

    @property
    def what(self) -> str:
        """The request in short: PUT instance, GET binding/last_operation, GET catalog."""
        parts = self.path.strip("/").split("/")
        if parts[-1] == "catalog":
            return f"{self.method} catalog"
        subject = "binding" if "service_bindings" in parts else "instance"
        ending = "/last_operation" if parts[-1] == "last_operation" else ""
        return f"{self.method} {subject}{ending}"


@dataclasses.dataclass(frozen=True)
class Reply:
    status: int = 200
    body: object = dataclasses.field(default_factory=dict)
    """Sent as it is if it is bytes, else as JSON."""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hangs: bool = False
    hangs_up: bool = False


SUCCEEDED = Reply(body={"state": "succeeded"})
IN_PROGRESS = Reply(body={"state": "in progress", "description": "half of it"})
_USUAL = {
    "PUT instance": Reply(201),
    "PUT binding": Reply(201, {"credentials": CREDENTIALS}),
    "GET binding": Reply(200, {"credentials": CREDENTIALS}),
    "GET instance/last_operation": SUCCEEDED,
    "GET binding/last_operation": SUCCEEDED,
}


@dataclasses.dataclass
class OddBroker:
    port: int = 0
    asked: list[Asked] = dataclasses.field(default_factory=list)
    next: dict[str, list[Reply]] = dataclasses.field(default_factory=dict)
    closing: threading.Event = dataclasses.field(default_factory=threading.Event)

    def will(self, what: str, *replies: Reply) -> None:
        """Answer the next such requests like this, then as usual."""
        self.next[what] = list(replies)

    @property
    def whats(self) -> list[str]:
        return [each.what for each in self.asked]

    def last(self, what: str) -> Asked:
        return next(each for each in reversed(self.asked) if each.what == what)

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        given = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {given}":
            return Reply(401, {"description": "who are you?"})
        waiting = self.next.get(asked.what)
        return waiting.pop(0) if waiting else _USUAL.get(asked.what, Reply())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    broker: OddBroker

    def do(self) -> None:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.broker.reply(
            Asked(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query)),
                body=json.loads(content) if content else None,
                headers={name.lower(): value for name, value in self.headers.items()},
            )
        )
        if reply.hangs_up:
            self.close_connection = True
            return
        if reply.hangs:
            self.broker.closing.wait()
            self.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        if reply.status == 204:
            body = b""
        with contextlib.suppress(ConnectionError):
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815  as the base class has it

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass  # clients that hang up are part of these tests


@contextlib.contextmanager
def running(*, tls: ssl.SSLContext | None = None) -> Iterator[OddBroker]:
    broker = OddBroker()
    handler = type(f"Handler{uuid.uuid4().hex}", (_Handler,), {"broker": broker})
    server = _Server(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    broker.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield broker
    finally:
        broker.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
