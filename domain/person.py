"""A person: what it signed up for."""

from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain import events


class Person(Aggregate):
    """The commands of a person about itself (R1)."""

    TOPIC: ClassVar[str] = "Person"
    fold_version: ClassVar[int] = 1
    Event = events.Event
    Created = events.PersonAppeared

    def __init__(self, *, subject: str) -> None:
        self.subject = subject
        self.is_in_beta = False

    @classmethod
    def appear(cls, *, person_id: UUID, subject: str, at: datetime) -> Self:
        """Begin to know a person."""
        return cls._create(events.PersonAppeared, id=person_id, timestamp=at, subject=subject)

    def apply(self, event: events.Event) -> None:
        """Take an event in, new or replayed."""
        match event:
            case events.PersonAppeared():
                pass  # the library hands its fields to __init__
            case events.BetaJoined():
                self.is_in_beta = True
            case events.BetaLeft():
                self.is_in_beta = False
            case _:
                raise TypeError(f"{type(event).__name__} is no event of a person")

    def join_beta(self, *, at: datetime) -> None:
        """Sign up for Beta features; nothing if that was done before."""
        if not self.is_in_beta:
            self.trigger_event(events.BetaJoined, timestamp=at)

    def leave_beta(self, *, at: datetime) -> None:
        """Do without Beta features; nothing that was begun with them stops."""
        if self.is_in_beta:
            self.trigger_event(events.BetaLeft, timestamp=at)
