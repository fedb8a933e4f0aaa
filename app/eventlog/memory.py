"""What this process wrote last, so that it need not ask for it: proven by its claim of the head.

All of it is as of one position of the log, the last one if nobody else wrote since. It runs ahead
of the database by what is on its way there, and is dropped if anything of that fails: nothing is
answered on the strength of it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from app.eventlog import command, draft, projecting
from projections import projection

_MOST = 2_000  # rows of a table; aggregates
_NO_COMMANDS: Mapping[UUID, command.RecordedCommand] = MappingProxyType({})
_FRESH = 1.0  # seconds for which this process may go on counting from the database's time


@dataclass(frozen=True)
class Wanted:
    """What a batch of commands has to know."""

    keys: Mapping[str, Mapping[projection.Key, None]]
    """Of rows, by table."""
    aggregates: Sequence[UUID]


@dataclass(frozen=True)
class Head:
    """The end of the log as it was left, with the mark of the log and its read models."""

    position: int
    recorded_at: datetime
    mark: str
    epoch: int
    event_id: UUID | None
    """Of the last event, if this process wrote it."""


class Clock:
    """The time of the database, which is the clock of all processes."""

    def __init__(self) -> None:
        self._told: tuple[datetime, float] | None = None

    def tell(self, now: datetime) -> None:
        """Take in what the database said; it was so a little earlier, so that we are late."""
        self._told = (now, time.monotonic())

    def now(self) -> datetime | None:
        """Return the time; None if the database has not told it lately."""
        if self._told is None:
            return None
        now, at = self._told
        since = time.monotonic() - at
        return now + timedelta(seconds=since) if since < _FRESH else None


@dataclass
class _Known:
    versions: dict[UUID, int] = field(default_factory=dict)
    rows: dict[str, projecting.Rows] = field(default_factory=dict)


class Memory:
    """Versions of aggregates and rows of read models, as this process left them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.head: Head | None = None
        self._is_alone = True
        self._known = _Known()

    @property
    def is_sure(self) -> bool:
        """Is this process, as far as it knows, the only one that writes?"""
        return self.head is not None and self._is_alone

    @property
    def last_event(self) -> str:
        """The id of the last event; empty if somebody else wrote it."""
        return str(self.head.event_id) if self.head and self.head.event_id else ""

    def forget(self) -> None:
        """Know nothing any more."""
        self.head = None
        self._known = _Known()

    def suspect(self) -> None:
        """Know nothing, and look until the head is found where it was left."""
        self.forget()
        self._is_alone = False

    def recall(self) -> draft.Seen | None:
        """Return what is known, as if it was seen now; None if nothing is, or not the time.

        What is not known of is missing: a fold of a row that is not there fails.
        """
        now = self.clock.now()
        if self.head is None or not self.is_sure or now is None:
            return None
        return draft.Seen(
            position=self.head.position,
            recorded_at=self.head.recorded_at,
            now=now,
            commands=_NO_COMMANDS,
            versions=self._known.versions,
            rows=self._known.rows,
            mark=self.head.mark,
        )

    def look_ahead(self, drafted: draft.Draft) -> None:
        """Know what follows from a draft on what was recalled, if it is committed as it should."""
        if self.head is None:
            raise ValueError("nothing was recalled")
        self._go_on(drafted, self.head.mark, self.head.epoch)

    def look_back(self, wanted: Wanted, seen: draft.Seen, drafted: draft.Draft) -> None:
        """Know what was seen, and what became of it."""
        head = self.head
        is_as_left = head is not None and (head.position, head.mark) == (seen.position, seen.mark)
        if not is_as_left:
            self.head, self._known = None, _Known()
        self._is_alone = is_as_left or (head is None and self._is_alone)
        versions = {key: seen.versions.get(key, 0) for key in wanted.aggregates}
        _put(self._known.versions, versions)
        for name, rows in seen.rows.items():
            _put(self._known.rows.setdefault(name, {}), rows)
        self._go_on(drafted, seen.mark, seen.epoch)

    def _go_on(self, drafted: draft.Draft, mark: str, epoch: int) -> None:
        event_id = self.head.event_id if self.head and not drafted.events else None
        if drafted.events:
            event_id = drafted.events[-1].event_id
        self.head = Head(drafted.position, drafted.recorded_at, mark, epoch, event_id)
        _put(self._known.versions, drafted.versions)
        for name, rows in drafted.folding.changes().rows.items():
            _put(self._known.rows.setdefault(name, {}), rows)


def _put(known: dict[Any, Any], fresh: Mapping[Any, Any]) -> None:
    """Put the fresh ones in, and let go of those that came first."""
    known.update(fresh)
    while len(known) > _MOST:
        del known[next(iter(known))]
