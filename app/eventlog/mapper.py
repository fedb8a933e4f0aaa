"""Events as canonical JSON: sorted keys, ISO times, readable with any tool."""

from typing import Any
from uuid import UUID

import msgspec
from eventsourcing import persistence
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.utils import get_topic

from domain import events

_ORIGINATOR = ("originator_id", "originator_version")
_CLASS_VERSION = "class_version"


class UnknownTopicError(Exception):
    """The log holds an event that this code has no class for."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"No event class has the topic {topic!r}: is the code older than the log?")
        self.topic = topic


class EventMapper(persistence.Mapper[UUID]):
    """Events to stored events and back; the library's setting MAPPER_TOPIC can name it.

    Old versions are upcast by the library's convention: `class_version` on the class, and
    static methods `upcast_v1_v2(state)` that change the state before it becomes an event.
    """

    def __init__(
        self,
        transcoder: persistence.Transcoder | None = None,
        compressor: persistence.Compressor | None = None,
        cipher: persistence.Cipher | None = None,
    ) -> None:
        if compressor or cipher:
            raise ValueError("The log keeps plain JSON: no compressor, no cipher.")
        super().__init__(transcoder or persistence.JSONTranscoder())
        self._classes = events.all_events()

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> persistence.StoredEvent:
        """Return the event as it is stored."""
        state: dict[str, Any] = msgspec.to_builtins(domain_event)
        for name in _ORIGINATOR:
            del state[name]
        version = getattr(type(domain_event), _CLASS_VERSION, 1)
        if version > 1:
            state[_CLASS_VERSION] = version
        return persistence.StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=get_topic(type(domain_event)),
            state=msgspec.json.encode(state, order="sorted"),
        )

    def to_domain_event(self, stored_event: persistence.StoredEvent) -> events.Event:
        """Return the event that was stored.

        Raises UnknownTopicError, or MapperDeserialisationError when the state does not fit.
        """
        event_class = self._class(stored_event.topic)
        try:
            state: dict[str, Any] = msgspec.json.decode(stored_event.state)
            _upcast(event_class, state)
            state["originator_id"] = stored_event.originator_id
            state["originator_version"] = stored_event.originator_version
            return msgspec.convert(state, event_class)
        except msgspec.MsgspecError as error:
            raise persistence.MapperDeserialisationError(
                f"{stored_event.topic} of {stored_event.originator_id}, "
                f"version {stored_event.originator_version}, does not fit its class: {error}"
            ) from error

    def _class(self, topic: str) -> type[events.Event]:
        """Return the class of the topic: a registered one, never one that the text imports."""
        if topic not in self._classes:
            self._classes = events.all_events()
        if topic not in self._classes:
            raise UnknownTopicError(topic)
        return self._classes[topic]


def _upcast(event_class: type[events.Event], state: dict[str, Any]) -> None:
    version = state.pop(_CLASS_VERSION, 1)
    for older in range(version, getattr(event_class, _CLASS_VERSION, 1)):
        getattr(event_class, f"upcast_v{older}_v{older + 1}")(state)
