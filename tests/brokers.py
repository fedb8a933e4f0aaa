"""Redis, RabbitMQ and NATS as Debian has them, run for the tests in a directory of their own."""

import contextlib
import dataclasses
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
import redis

_PATIENCE = 90.0  # seconds
_TICK = 0.05
_USER = "admin"
# Debian's command wants to be root and the one server of the machine; what it runs does not.
_RABBITMQ = "lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broker:
    """A running server and its administrator."""

    port: int
    management_port: int = 0
    password: str

    @property
    def redis_url(self) -> str:
        return f"redis://{_USER}:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def nats_url(self) -> str:
        return f"nats://{_USER}:{self.password}@127.0.0.1:{self.port}"

    @property
    def management_url(self) -> str:
        return f"http://{_USER}:{self.password}@127.0.0.1:{self.management_port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


def require_redis() -> str:
    """Return where the server is, or leave the test out."""
    return shutil.which("redis-server") or _left_out("no Redis: apt-get install redis-server")


def require_rabbitmq() -> tuple[str, str]:
    """Return where the server and the name server of its nodes are, or leave the test out."""
    found = sorted(Path("/usr").glob(_RABBITMQ))
    server = str(found[-1]) if found else shutil.which("rabbitmq-server")
    names = shutil.which("epmd")
    if server and names:
        return server, names
    return _left_out("no RabbitMQ: apt-get install rabbitmq-server")


def require_nats() -> str:
    """Return where the server is, or leave the test out."""
    return shutil.which("nats-server") or _left_out("no NATS: apt-get install nats-server")


@contextlib.contextmanager
def running_redis(directory: Path, *options: str, keeps_users: bool = True) -> Iterator[Broker]:
    """Run a Redis; one that is started again in the same directory has the users of before."""
    program = require_redis()
    file, secret = directory / "users.acl", directory / "password"
    if not secret.exists():
        secret.write_text(secrets.token_hex(16))
        digest = hashlib.sha256(secret.read_bytes()).hexdigest()
        file.write_text(f"user default off\nuser {_USER} on #{digest} ~* &* +@all\n")
    broker = Broker(port=_free_ports(1)[0], password=secret.read_text())
    configuration = directory / "redis.conf"
    configuration.write_text(
        f'bind 127.0.0.1\nport {broker.port}\ndir "{directory}"\nsave ""\n'
        + (f'aclfile "{file}"\n' if keeps_users else file.read_text())
    )
    log = directory / "redis.log"
    with (
        _process([program, str(configuration), *options], log=log),
        redis.Redis.from_url(broker.redis_url) as client,
    ):
        _await(lambda: _is_answered(client), log)
        yield broker


@contextlib.contextmanager
def running_rabbitmq(directory: Path) -> Iterator[Broker]:
    """Run a RabbitMQ with its management API, and nothing that outlives it."""
    program, names = require_rabbitmq()
    port, management, distribution, lookup = _free_ports(4)
    broker = Broker(port=port, management_port=management, password=secrets.token_hex(16))
    (directory / "enabled_plugins").write_text("[rabbitmq_management].")
    (directory / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\n"
        f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n"
        f"default_user = {_USER}\ndefault_pass = {broker.password}\n"
        "default_user_tags.administrator = true\nlog.console = true\nlog.console.level = warning\n"
    )
    environment = {
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(lookup),
        "HOME": str(directory),  # for the cookie
        "LANG": "C.UTF-8",
        "PATH": os.environ["PATH"],
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_LOG_BASE": str(directory),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_NODENAME": f"servicebook-{port}@localhost",
        # Its schedulers do not spin: the machine has other tests to run.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
        " -kernel inet_dist_use_interface {127,0,0,1}",
    }
    log = directory / "rabbitmq.log"
    with (
        _process([names, "-port", str(lookup)], log=directory / "epmd.log", environ=environment),
        _process([program], log=log, environ=environment),
        httpx.Client(trust_env=False) as client,
    ):
        _await(lambda: _is_open(port) and _is_healthy(client, broker), log)
        yield broker


@contextlib.contextmanager
def running_nats(directory: Path, *, port: int | None = None) -> Iterator[Broker]:
    """Run a NATS with JetStream; one that is started again in the directory has its streams."""
    program = require_nats()
    broker = Broker(port=port or _free_ports(1)[0], password="secret")
    configuration = directory / "nats.conf"
    configuration.write_text(
        f'listen: "127.0.0.1:{broker.port}"\njetstream {{ store_dir: "{directory}" }}\n'
        f"authorization {{ user: {_USER}, password: {broker.password} }}\n"
    )
    log = directory / "nats.log"
    with _process([program, "--config", str(configuration)], log=log):
        _await(lambda: _is_open(broker.port), log)
        yield broker


@contextlib.contextmanager
def _process(
    command: list[str], *, log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            start_new_session=True,
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _left_out(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _await(is_ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_ready():
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-4000:]
        time.sleep(_TICK)


def _is_answered(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.exceptions.ConnectionError:
        return False
    return True


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _is_healthy(client: httpx.Client, broker: Broker) -> bool:
    try:
        return client.get(f"{broker.management_url}/api/overview").is_success
    except httpx.TransportError:
        return False


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in taken]
