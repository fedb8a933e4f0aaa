"""What a read model is: a table, the rows that an event concerns, and a pure fold."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol
from uuid import UUID

import msgspec

from domain import events

Row = Mapping[str, Any]
"""A row by column name; values as psycopg gives and takes them (jsonb as plain objects)."""

EventClasses = frozenset[type[events.Event]]

Key = tuple[Any, ...]
"""The values of a table's primary key."""


class RecordedEvent(NamedTuple):
    """An event with what the log knows of it: its place, its command, who, when and why."""

    position: int
    event: events.Event
    event_id: UUID
    command_id: UUID
    actor: str
    correlation_id: UUID
    causation_id: UUID | None
    reason: str | None
    recorded_at: datetime
    traceparent: str | None = None


class Outline(msgspec.Struct):
    """A recorded event as far as folds know it: a rebuild reads no more."""

    position: int
    event: events.Event
    actor: str
    correlation_id: str  # a UUID: folds hand it on
    reason: str | None
    recorded_at: datetime


Foldable = RecordedEvent | Outline


@dataclasses.dataclass(frozen=True)
class Column:
    """A column: its name, its SQL type, and whether it may be NULL."""

    name: str
    type: str
    is_nullable: bool = False


@dataclasses.dataclass(frozen=True)
class Index:
    """An index on columns, in order; `where` makes it partial."""

    columns: tuple[str, ...]
    where: str | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the schema `read`."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    indexes: tuple[Index, ...] = ()


def holds(row: Row | None, recorded: Foldable) -> bool:
    """Is the event folded into the row already?"""
    return row is not None and bool(row["position"] >= recorded.position)


class WrittenRow(Mapping[str, Any]):
    """A row that is kept in another shape than it is stored in."""

    __slots__ = ()

    @abc.abstractmethod
    def written(self) -> dict[str, Any]:
        """Return the columns' values; what it holds besides is ignored."""


class Projection(Protocol):
    """A read model of current state.

    `version` is raised when the table or the fold changes; the rows are then built anew.
    `folds` are the classes of events that may concern a row. Those that concern one row are
    of one aggregate: a rebuild folds aggregate by aggregate.
    """

    table: ClassVar[Table]
    version: ClassVar[int]
    folds: ClassVar[EventClasses]

    def keys(self, recorded: Foldable) -> Sequence[Key]:
        """Return the keys of the rows that the event concerns; none if it concerns none."""
        ...

    def fold(self, row: Row | None, recorded: Foldable, key: Key) -> Row | None:
        """Return the row after the event; None if there is none (any more).

        An event that the row holds already (`row["position"]`) changes nothing.
        """
        ...


class Journal(Protocol):
    """A read model that keeps one row for each change of a row of another one."""

    table: ClassVar[Table]
    version: ClassVar[int]
    follows: Projection

    def entry(self, before: Row | None, after: Row, recorded: Foldable) -> Row:
        """Return the row that tells of the event."""
        ...
