"""Who runs the server: one process at a time, the others share it."""

import concurrent.futures
import fcntl
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import psycopg

from app.embedded import cluster as clusters
from app.embedded import contents, server

_TICK = 0.1  # seconds between two looks at the server, or at the lock

_log = logging.getLogger(__name__)


class Keeper(threading.Thread):
    """Holds a server: as its owner, or sharing the owner's until that one is gone.

    A thread, because the server ends with the thread that started it, and because somebody has
    to notice when it ends. Ownership is a file lock, which the system releases however we end.
    """

    def __init__(
        self, *, data: Path, settings: Mapping[str, str], progress: Callable[[str], None]
    ) -> None:
        super().__init__(name="embedded-postgres", daemon=True)
        self._data = data.expanduser().absolute()
        self._settings = settings
        self._progress = progress
        self._address: concurrent.futures.Future[clusters.Address] = concurrent.futures.Future()
        self._stopping = threading.Event()

    def address(self) -> clusters.Address:
        """Wait until the server accepts connections; raises EmbeddedError."""
        return self._address.result()

    def stop(self) -> None:
        """Stop the server if it is ours."""
        self._stopping.set()
        self.join()

    def run(self) -> None:
        """Keep the server there until told to stop."""
        while not self._stopping.is_set():
            try:
                self._keep()
            except Exception as error:  # noqa: BLE001  whoever waits for the address must hear of it
                if not self._address.done():
                    self._address.set_exception(_explained(error))
                    return
                _log.exception("The embedded PostgreSQL could not be started again")
                self._stopping.wait(1)

    def _keep(self) -> None:
        self._data.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        with clusters.lock_file(self._data).open("a") as lock:
            self._share_until_owner(lock)
            if not self._stopping.is_set():
                self._own()

    def _share_until_owner(self, lock: IO[str]) -> None:
        while not acquired(lock):
            if not self._address.done():
                self._publish_shared()
            if self._stopping.wait(_TICK):
                return

    def _publish_shared(self) -> None:
        address = clusters.find_address(self._data)
        if address is None or not server.answers(address):
            return
        try:
            contents.ensure(address)
        except psycopg.OperationalError:
            return  # the owner is stopping it: then the lock comes free, and we start it
        self._address.set_result(address)

    def _own(self) -> None:
        self._progress("Starting PostgreSQL")
        is_durable = self._settings.get("fsync") != "off"
        cluster = clusters.prepare(data=self._data, is_durable=is_durable, progress=self._progress)
        server.end_leftovers(cluster)
        clusters.require_free_port(
            port=cluster.address.port, remembered_in=clusters.port_file(self._data)
        )
        process = server.start(cluster, self._settings)
        try:
            server.wait_until_ready(process, cluster, self._stopping)
            contents.ensure(cluster.address)
            if not self._address.done():
                self._address.set_result(cluster.address)
            while process.poll() is None and not self._stopping.wait(_TICK):
                pass
        finally:
            server.stop(process)


def acquired(lock: IO[str]) -> bool:
    """Tell whether the lock is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _explained(error: Exception) -> Exception:
    if not isinstance(error, (OSError, psycopg.Error)):
        return error
    explained = clusters.EmbeddedError(f"PostgreSQL cannot be started: {error}")
    explained.__cause__ = error
    return explained
