"""What time it is where the queue lives: the database's clock tells when a task is due."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The database's clock as it was read last, and how long ago that is.

    It does not follow this machine's clock when somebody sets that.
    """

    def __init__(self) -> None:
        self.set(datetime.now(UTC))

    def set(self, now: datetime) -> None:
        """Take in what the database's clock says."""
        self._read, self._read_at = now, time.monotonic()

    def now(self) -> datetime:
        """Return the time."""
        return self._read + timedelta(seconds=time.monotonic() - self._read_at)
