"""The process of PostgreSQL: start it, find what was left behind, stop it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from psycopg import pq

from app.embedded import cluster as clusters

_TICK = 0.02  # seconds between two looks at a server that is on its way
_PATIENCE = 30  # seconds before a stop is asked for less politely
_LOG_TAIL = 2000
_LARGE_LOG = 10_000_000  # bytes
_PID_FILE = "postmaster.pid"


def answers(address: clusters.Address) -> bool:
    """Tell whether the server accepts connections."""
    dsn = f"{address.dsn('postgres')} connect_timeout=2"
    return pq.PGconn.ping(dsn.encode()) == pq.Ping.OK


def start(cluster: clusters.Cluster, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the server, which ends with the thread that calls this."""
    options = {
        "listen_addresses": cluster.address.host,
        "port": str(cluster.address.port),
        "unix_socket_directories": str(cluster.address.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "log_min_error_statement": "panic",  # the text of a statement may hold a secret
    } | dict(settings)
    arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with opened_log(cluster.log) as log:
        return subprocess.Popen(  # noqa: S603  our own program and arguments
            cluster.command("postgres", "-D", str(cluster.directory), *arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,  # Ctrl-C reaches us only, and we stop the server
        )


def wait_until_ready(
    process: subprocess.Popen[bytes], cluster: clusters.Cluster, stopping: threading.Event
) -> None:
    """Wait until the server accepts connections, as long as it lives: a recovery takes its time."""
    while process.poll() is None:
        if answers(cluster.address):
            return
        if stopping.wait(_TICK):
            raise clusters.EmbeddedError("Told to stop while PostgreSQL was starting")
    tail = cluster.log.read_text(errors="replace")[-_LOG_TAIL:]
    raise clusters.EmbeddedError(
        f"PostgreSQL ended with {process.returncode}; the end of {cluster.log}:\n{tail}".strip()
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server: sessions are cut, what was committed is kept."""
    # Fast, immediate, and at last by force: each is safe for the data, the later ones cost a
    # recovery at the next start.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
            return


def end_leftovers(cluster: clusters.Cluster) -> None:
    """End what still serves this data although its keeper is gone.

    PostgreSQL would corrupt the data if a second server started beside such processes.
    """
    for number, patience in ((signal.SIGINT, _PATIENCE), (signal.SIGKILL, _PATIENCE)):
        deadline = time.monotonic() + patience
        _signal_all(cluster.directory, number)
        while _processes(cluster.directory) and time.monotonic() < deadline:
            time.sleep(_TICK)
    if alive := _processes(cluster.directory):
        raise clusters.EmbeddedError(f"PostgreSQL processes that do not end: {alive}")
    _forget_foreign_processes(cluster)


def opened_log(path: Path) -> IO[bytes]:
    """Open a server's log to be continued, or a new one if it has become large."""
    if path.exists() and path.stat().st_size > _LARGE_LOG:
        path.replace(path.with_name(f"{path.name}.old"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _signal_all(directory: Path, number: signal.Signals) -> None:
    for pid in _processes(directory):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _processes(directory: Path) -> list[int]:
    """List the servers and sessions over this data, which have it as their working directory."""
    if sys.platform == "linux":
        numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in numbers if _serves(pid, directory)]
    pid = _recorded_pid(directory / _PID_FILE)
    return [pid] if pid is not None and str(directory) in command_line(pid) else []


def _serves(pid: int, directory: Path) -> bool:
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return name == "postgres" and Path(f"/proc/{pid}/cwd").readlink() == directory
    except OSError:  # it ended, is a zombie, or belongs to somebody else
        return False


def command_line(pid: int) -> str:
    """Return what the process was started as, or nothing if it is gone."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        except OSError:
            return ""
    return subprocess.run(  # noqa: S603  our own arguments
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        check=False,
        text=True,
    ).stdout


def _recorded_pid(record: Path) -> int | None:
    try:
        return int(record.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _forget_foreign_processes(cluster: clusters.Cluster) -> None:
    """Drop records whose pid now belongs to another program, which PostgreSQL would believe.

    Any other stale record stays: PostgreSQL checks it better than we could.
    """
    socket_lock = cluster.address.sockets / f".s.PGSQL.{cluster.address.port}.lock"
    for record in (cluster.directory / _PID_FILE, socket_lock):
        pid = _recorded_pid(record)
        if pid is not None and _exists(pid):
            record.unlink(missing_ok=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
