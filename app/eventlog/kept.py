"""Aggregates kept in memory between commands, each with one command at a time.

A command takes an aggregate out, and only a commit that was recorded puts it back: what a
refused, failed or conflicting command did to one is lost with it. What was decided on a kept
aggregate is true only if the log was asked, before or when it is recorded, what came after it.
"""

import collections
from typing import NamedTuple
from uuid import UUID

from eventsourcing.domain import Aggregate

_MOST = 2_000


class Kept(NamedTuple):
    """An aggregate as it was at a position of the log."""

    aggregate: Aggregate
    position: int
    epoch: int
    """As of the history that the command read."""


class Keep:
    """The aggregates that were committed last."""

    def __init__(self, *, most: int = _MOST) -> None:
        self._most = most
        self._kept: collections.OrderedDict[UUID, Kept] = collections.OrderedDict()

    def take(self, aggregate_id: UUID) -> Kept | None:
        """Take an aggregate out, for one command."""
        return self._kept.pop(aggregate_id, None)

    def put(self, aggregate: Aggregate, *, position: int, epoch: int) -> None:
        """Keep an aggregate as it was committed; the one that lay longest may have to go."""
        aggregate_id = aggregate.id
        self._kept[aggregate_id] = Kept(aggregate, position, epoch)
        self._kept.move_to_end(aggregate_id)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
