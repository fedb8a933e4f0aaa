"""The record of a release on this machine: what was begun, and how it ended.

A private file, with a lock beside it. It says RUNNING before anything changes and is settled
last, so that whoever finds it RUNNING without a lock knows that a release was interrupted.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from app.deployers import command, contract

RUNNING = "RUNNING"
INTERRUPTED = "INTERRUPTED"


class PlacementError(Exception):
    """The release cannot be carried out there."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known about the last release, and which revision of which epoch is in effect.

    Former versions did not write the epoch: they are taken to have known the first one alone.
    """

    deployment_id: UUID
    environment_id: UUID
    revision_number: int
    status: str
    effective_revision: int = 0
    effective_epoch: int = 1
    message: str = ""
    output: str = ""
    had_previous: bool = False
    process: command.Process | None = None

    @property
    def outcome(self) -> contract.Outcome | None:
        """How the release ended; None while it runs, or if it was interrupted."""
        if self.status in {RUNNING, INTERRUPTED}:
            return None
        return contract.Outcome(
            status=contract.OutcomeStatus(self.status), message=self.message, output=self.output
        )


class Records:
    """The record beside a path, existing or not; all but `recorded` need the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = beside(path, "servicebook.json")

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Try to take the lock; yields whether it was free."""
        lock = self._open_lock()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_free = False
        else:
            is_free = True
        try:
            yield is_free
        finally:
            os.close(lock)

    def recorded(self) -> Record | None:
        """Return what is known about the last release."""
        try:
            return _parsed(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PlacementError(f"{self._file} cannot be read: remove it") from error

    def note(self, record: Record) -> None:
        """Write down what is known."""
        document = dataclasses.asdict(record) | {
            "deployment_id": str(record.deployment_id),
            "environment_id": str(record.environment_id),
        }
        text = json.dumps(document, indent=2).encode()
        write(self._file, text, through=beside(self.path, "servicebook-new"))

    def _open_lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        try:
            return os.open(beside(self.path, "servicebook-lock"), flags, 0o600)
        except OSError as error:
            raise PlacementError(
                f"{self.path.parent} cannot be written to: {error.strerror}"
            ) from error


def beside(path: Path, ending: str) -> Path:
    """Return the path of a file of ours beside another one."""
    return path.with_name(f"{path.name}.{ending}")


def write(path: Path, text: bytes, *, through: Path) -> None:
    """Write a private file that is there whole or not at all, also after a crash of the machine."""
    through.unlink(missing_ok=True)
    try:
        descriptor = os.open(through, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        through.replace(path)
    except OSError:
        through.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have what was renamed or removed in a directory survive a crash of the machine."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _parsed(text: bytes) -> Record:
    document = json.loads(text)
    process = document["process"]
    return Record(
        **document
        | {
            "deployment_id": UUID(document["deployment_id"]),
            "environment_id": UUID(document["environment_id"]),
            "process": command.Process(**process) if process else None,
        }
    )
