"""The running program, as its users have it: a process, its settings, its output."""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg import sql

from app import embedded

T = TypeVar("T")

COMMAND = (sys.executable, "-c", "from app.cli import main; main()")
ROOT = Path(__file__).parents[2]
PATIENCE = 90.0  # seconds until a story gives up; a busy machine is no failure

_AT_WORK = re.compile("The worker is ready")
_ADDRESS = re.compile(r"Explore it: (http://[^/\s]+)/")
_TICK = 0.02
_names = itertools.count(1)


def until(ask: Callable[[], T | None], what: str, *, seconds: float = PATIENCE) -> T:
    """Return what `ask` answers as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(_TICK)
    raise AssertionError(f"not within {seconds:g} seconds: {what}")


class Product:
    """`servicebook serve`, with its database and directory; may be killed and started again."""

    def __init__(self, *, directory: Path, settings: dict[str, str], dsn: str = "") -> None:
        self.directory = directory
        self.dsn = dsn
        self.environment = {
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": dsn,
            "SERVICEBOOK_DATA_DIRECTORY": str(directory),
            **settings,
        }
        self.command = COMMAND
        self.url = ""
        self._log = directory / f"output-{next(_names)}"
        self._process: subprocess.Popen[bytes] | None = None

    def twin(self) -> "Product":
        """Return another process over the same database and directory, not started yet."""
        return Product(directory=self.directory, dsn=self.dsn, settings=self.environment)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def token(self) -> str:
        return (self.directory / "token").read_text().strip()

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self, *options: str) -> None:
        """Start and wait until it says where it is."""
        self.url = self._started(_ADDRESS, "serve", "--port", "0", *options).group(1)

    def start_worker(self) -> None:
        """Start as a worker, which has no address."""
        self._started(_AT_WORK, "worker")

    def _started(self, announcement: re.Pattern[str], *arguments: str) -> re.Match[str]:
        seen = len(self.output)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self.environment,
            )

        def said() -> re.Match[str] | None:
            assert self._process is not None
            assert self._process.poll() is None, self.output[seen:]
            return announcement.search(self.output, seen)

        return until(said, "the product is ready")

    def kill(self) -> None:
        """End it without a warning, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self, number: signal.Signals = signal.SIGTERM, *, within: float = 10.0) -> int:
        """Ask it to stop, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(within)
        self._process = None
        return code

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the program beside it."""
        return subprocess.run(
            [*COMMAND, *arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=self.directory,
            env=self.environment,
            timeout=PATIENCE,
        )


@contextlib.contextmanager
def prepared(
    *, server: embedded.Address, template: str, directory: Path, settings: dict[str, str]
) -> Iterator[Product]:
    """Hold a product over a database of its own, not started yet."""
    name = f"journey_{next(_names)}"
    provider = {
        "SERVICEBOOK_POSTGRES_PROVIDER_DSN": provider_dsn(server),
        "SERVICEBOOK_POSTGRES_PROVIDER_ADDRESS": f"{server.host}:{server.port}",
    }
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        database = sql.Identifier(name)
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(database, sql.Identifier(template))
        )
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        made = Product(directory=directory, dsn=server.dsn(name), settings=provider | settings)
        try:
            yield made
        finally:
            made.kill()
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def local(directory: Path) -> Product:
    """Return a product that brings its own PostgreSQL, not started yet."""
    return Product(directory=directory, settings={})


def provider_dsn(server: embedded.Address) -> str:
    return server.dsn("postgres", user=embedded.PROVIDER_ROLE)


def answers(dsn: str) -> bool:
    """Can a client connect and ask?"""
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False
