"""Who signed up for what, and who was erased."""

from collections.abc import Sequence
from typing import ClassVar

from domain import events
from projections.projection import (
    Column,
    EventClasses,
    Foldable,
    Index,
    Key,
    Row,
    Table,
    holds,
)


class People:
    """A row per person that ever signed up for something, or was erased."""

    version: ClassVar[int] = 2
    folds: ClassVar[EventClasses] = frozenset(
        {events.PersonAppeared, events.BetaJoined, events.BetaLeft, events.PersonErased}
    )
    table: ClassVar[Table] = Table(
        name="people",
        columns=(
            Column("id", "uuid"),
            Column("subject", "text"),
            Column("in_beta", "bool"),
            Column("erased_at", "timestamptz", is_nullable=True),
            Column("position", "int8"),
        ),
        primary_key=("id",),
        indexes=(Index(("subject",), where="in_beta"),),
    )

    def keys(self, recorded: Foldable) -> Sequence[Key]:
        """Return the person whose event it is."""
        event = recorded.event
        return [(event.originator_id,)] if type(event) in self.folds else []

    def fold(self, row: Row | None, recorded: Foldable, key: Key) -> Row | None:
        """Return the person after the event."""
        if holds(row, recorded):
            return row
        match recorded.event:
            case events.PersonAppeared(subject=subject):
                row = {"id": key[0], "subject": subject, "in_beta": False, "erased_at": None}
            case events.BetaJoined():
                row = {**(row or {}), "in_beta": True}
            case events.BetaLeft():
                row = {**(row or {}), "in_beta": False}
            case events.PersonErased():
                row = {**(row or {}), "erased_at": recorded.recorded_at}
            case _:
                return row
        return {**row, "position": recorded.position}
