"""The file of a release: what stood there before, and the record of the outcome beside it.

Four files stand beside `.env`, all private: `.servicebook.json` with the record,
`.servicebook-previous` while a release runs, `.servicebook-new` while a file is written, and a
lock. The record says RUNNING before the file changes and is settled last, so that whoever finds
it RUNNING without a lock can put back what was there.
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

from app.deployers import command, contract, dotenv, settings

RUNNING = "RUNNING"
INTERRUPTED = "INTERRUPTED"


class PlacementError(Exception):
    """The file cannot be put there."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known about the last release."""

    deployment_id: UUID
    environment_id: UUID
    revision_number: int
    status: str
    effective_revision: int = 0
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


class Placement:
    """A place for a file; every method but `recorded` is called under the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._record = self._beside("servicebook.json")
        self._previous = self._beside("servicebook-previous")

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
            return _parsed(self._record.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PlacementError(f"{self._record} cannot be read: remove it") from error

    def begin(self, record: Record, text: bytes) -> Record:
        """Keep what is there and put the text in its place; raises PlacementError."""
        if reason := settings.unfit(self.path):
            raise PlacementError(f"{self.path} {reason}")
        before = self._read_previous()
        if before is not None:
            _write(self._previous, before, through=self._new)
        running = dataclasses.replace(record, status=RUNNING, had_previous=before is not None)
        self.note(running)
        _write(self.path, text, through=self._new)
        return running

    def note(self, record: Record) -> None:
        """Write down what is known."""
        document = dataclasses.asdict(record) | {
            "deployment_id": str(record.deployment_id),
            "environment_id": str(record.environment_id),
        }
        _write(self._record, json.dumps(document, indent=2).encode(), through=self._new)

    def undo(self) -> None:
        """Put back what stood there before a release that was interrupted, if one was."""
        record = self.recorded()
        if record is not None and record.status == RUNNING:
            if record.process:
                command.end_leftover(record.process)
            self.put_back(record)
            self.settle(dataclasses.replace(record, status=INTERRUPTED, process=None))

    def put_back(self, record: Record) -> None:
        """Put back what stood there before this release; may be repeated."""
        if not record.had_previous:
            self.path.unlink(missing_ok=True)
        elif self._previous.exists():  # else it was put back already
            self._previous.replace(self.path)
        _sync_directory(self.path.parent)

    def settle(self, record: Record) -> None:
        """Write down the outcome and let go of what stood there before."""
        self.note(record)
        self._previous.unlink(missing_ok=True)

    @property
    def _new(self) -> Path:
        return self._beside("servicebook-new")

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")

    def _open_lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        try:
            return os.open(self._beside("servicebook-lock"), flags, 0o600)
        except OSError as error:
            raise PlacementError(
                f"{self.path.parent} cannot be written to: {error.strerror}"
            ) from error

    def _read_previous(self) -> bytes | None:
        try:
            before = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if not before.startswith(dotenv.HEADER.encode()):
            raise PlacementError(
                f"{self.path} was not written by Servicebook and is left alone: "
                "move it away, or name another path"
            )
        return before


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


def _write(path: Path, text: bytes, *, through: Path) -> None:
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
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
