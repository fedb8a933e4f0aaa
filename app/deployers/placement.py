"""The file of a release, and what stood there before it.

Beside `.env` stand `.servicebook-previous` while a release runs and `.servicebook-new` while a
file is written, both private.
"""

from collections.abc import Mapping
from pathlib import Path

from app.deployers import dotenv, record, settings


class Placement:
    """A place for a file; called under the lock of its record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._previous = record.beside(path, "servicebook-previous")
        self._new = record.beside(path, "servicebook-new")

    def keep_previous(self) -> bool:
        """Keep a copy of what is there; tells whether anything is. Raises PlacementError."""
        if reason := settings.unfit(self.path):
            raise record.PlacementError(f"{self.path} {reason}")
        before = self._read()
        if before is not None:
            record.write(self._previous, before, through=self._new)
        return before is not None

    def put(self, variables: Mapping[str, str]) -> None:
        """Put the variables in place; raises DotenvError."""
        record.write(self.path, dotenv.render(variables), through=self._new)

    def put_back(self, *, had_previous: bool) -> None:
        """Put back what stood there before this release; may be repeated."""
        if not had_previous:
            self.path.unlink(missing_ok=True)
        elif self._previous.exists():  # else it was put back already
            self._previous.replace(self.path)
        record.sync_directory(self.path.parent)

    def let_go(self) -> None:
        """Let go of what stood there before."""
        self._previous.unlink(missing_ok=True)

    def _read(self) -> bytes | None:
        try:
            before = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if not before.startswith(dotenv.HEADER.encode()):
            raise record.PlacementError(
                f"{self.path} was not written by Servicebook and is left alone: "
                "move it away, or name another path"
            )
        return before
