"""Who runs the object store: one process at a time, the others share it."""

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.embedded import cluster, keeper, server, storage

_TICK = 0.1  # seconds between two looks at the server, or at the lock
_PAUSE = 1.0  # seconds before a server that ended is started again
_PATIENCE = 5.0  # seconds for what was killed to be gone

_log = logging.getLogger(__name__)


class StorageKeeper(threading.Thread):
    """Holds an object store: as its owner, or sharing the owner's until that one is gone.

    Nobody waits for the store to be ready: it takes some seconds, which a start need not.
    """

    def __init__(self, *, data: Path, progress: Callable[[str], None]) -> None:
        super().__init__(name="embedded-storage", daemon=True)
        self._data = data
        self._progress = progress
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Stop the store if it is ours."""
        self._stopping.set()
        self.join()

    def run(self) -> None:
        """Keep the store there until told to stop."""
        while not self._stopping.is_set():
            try:
                with cluster.lock_file(self._data).open("a") as lock:
                    while not keeper.acquired(lock):
                        if self._stopping.wait(_TICK):
                            return
                    self._own()
            except (cluster.EmbeddedError, OSError) as error:
                _log.warning("The object store is not there: %s", error)
            self._stopping.wait(_PAUSE)

    def _own(self) -> None:
        _end_leftover(self._data)
        ready = storage.prepare(data=self._data, progress=self._progress)
        with server.opened_log(ready.log) as log:
            process = subprocess.Popen(  # noqa: S603  our own program and arguments
                ready.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ready.directory,
                env=storage.environment(ready.directory),
                start_new_session=True,  # Ctrl-C reaches us only, and we stop the store
            )
        try:
            _pid_file(self._data).write_text(f"{process.pid}\n")
            while process.poll() is None and not self._stopping.wait(_TICK):
                pass
        finally:
            process.kill()  # see `storage`: nothing is lost
            process.wait()
            ready.tidy()
        if not self._stopping.is_set():
            _log.warning(
                "The object store ended with %d and is started again; its log is %s",
                process.returncode,
                ready.log,
            )


def _pid_file(data: Path) -> Path:
    return data.with_name(data.name + ".pid")


def _end_leftover(data: Path) -> None:
    """End what still serves this data although its keeper is gone."""
    option = f"-s3.port={storage.identity(data).port} "
    deadline = time.monotonic() + _PATIENCE
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid = int(_pid_file(data).read_text())
        while option in server.command_line(pid) and time.monotonic() < deadline:
            os.kill(pid, signal.SIGKILL)
            time.sleep(_TICK)
