"""A person: what it signed up for, and that it is forgotten."""

import uuid
from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain import events

_NAMESPACE = UUID("5e7b1ceb-0001-5000-8000-000000000000")


class Person(Aggregate):
    """What a person asks about itself (R1), and that it is forgotten."""

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
            case events.PersonErased():
                pass  # what it wrote is not here; it may act again
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

    def erase(self, *, at: datetime) -> None:
        """Forget what the person wrote so far; each time anew."""
        self.trigger_event(events.PersonErased, timestamp=at, subject=self.subject)


def identify(subject: str) -> UUID:
    """Return the id of the person that a subject names."""
    return uuid.uuid5(_NAMESPACE, subject)
