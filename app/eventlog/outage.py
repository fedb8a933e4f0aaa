"""Whether appends fail for good: told in the server's log once, and once when that is over."""

import logging

import psycopg

_logger = logging.getLogger(__name__)


class Outage:
    """Knows what stood in the way of the last append, and whether one was given up for it."""

    def __init__(self) -> None:
        self.is_on = False
        self._error: psycopg.Error | None = None

    @property
    def is_suspected(self) -> bool:
        """Did a try fail since the last one that did not?"""
        return self._error is not None

    def suspect(self, error: psycopg.Error) -> None:
        """Note why a try failed; the next one may not."""
        self._error = error

    def begin(self) -> None:
        """Hear that an append was given up; if its tries failed, the log takes none until `end`.

        Otherwise the server was slow, or had too much to do.
        """
        if self.is_on or self._error is None:
            return
        self.is_on = True
        reason = self._error.diag.message_primary or str(self._error)
        state = self._error.sqlstate or "none"
        _logger.error("nothing can be recorded: %s (SQLSTATE %s)", " ".join(reason.split()), state)

    def end(self) -> None:
        """Hear that something was written."""
        if self.is_on:
            _logger.warning("events are recorded again")
        self.is_on = False
        self._error = None
