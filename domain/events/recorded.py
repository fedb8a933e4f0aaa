"""What all events share: a stable name in storage, and how they reach their aggregate."""

from typing import Any, ClassVar

from eventsourcing.domain import Aggregate
from eventsourcing.utils import register_topic

_EVENTS: dict[str, type["Event"]] = {}


class Event(Aggregate.Event):
    """A fact about an aggregate; `timestamp` is when the command was decided, in UTC."""

    TOPIC: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        topic = cls.__dict__.get("TOPIC")
        if topic is not None:
            register_topic(topic, cls)
            _EVENTS[topic] = cls

    def apply(self, aggregate: Any) -> None:  # noqa: ANN401  the library leaves the aggregate's type open
        """Let the aggregate take the fact in."""
        aggregate.apply(self)


class Created(Event, Aggregate.Created):
    """The first fact of an aggregate."""


def all_events() -> dict[str, type[Event]]:
    """Return every event class by its topic."""
    return dict(_EVENTS)
