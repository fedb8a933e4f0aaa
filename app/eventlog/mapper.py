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
_NO_ID = str(UUID(int=0))  # the id is in a column, and put in afterwards


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
        self._decoders: dict[type[events.Event], msgspec.json.Decoder[events.Event]] = {}

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
        return self.event(
            originator_id=stored_event.originator_id,
            originator_version=stored_event.originator_version,
            topic=stored_event.topic,
            state=stored_event.state.decode(),
        )

    def event(
        self, *, originator_id: UUID | str, originator_version: int, topic: str, state: str
    ) -> events.Event:
        """Return the event that was stored so; likewise."""
        event_class = self._class(topic)
        try:
            if getattr(event_class, _CLASS_VERSION, 1) == 1:
                event = self._decoded(event_class, originator_version, state)
            else:
                event = _upcast(event_class, originator_version, state)
        except msgspec.MsgspecError as error:
            raise persistence.MapperDeserialisationError(
                f"{topic} of {originator_id}, version {originator_version}, "
                f"does not fit its class: {error}"
            ) from error
        event.__dict__["originator_id"] = originator_id
        return event

    def _decoded(self, event_class: type[events.Event], version: int, state: str) -> events.Event:
        """Decode an event in one pass: loads and rebuilds are mostly this."""
        if event_class not in self._decoders:
            self._decoders[event_class] = msgspec.json.Decoder(event_class)
        head = f'{{"originator_id":"{_NO_ID}","originator_version":{version},'
        return self._decoders[event_class].decode(head + state[1:])

    def _class(self, topic: str) -> type[events.Event]:
        """Return the class of the topic: a registered one, never one that the text imports."""
        if topic not in self._classes:
            self._classes = events.all_events()
        if topic not in self._classes:
            raise UnknownTopicError(topic)
        return self._classes[topic]


def _upcast(event_class: type[events.Event], originator_version: int, state: str) -> events.Event:
    fields: dict[str, Any] = msgspec.json.decode(state)
    version = fields.pop(_CLASS_VERSION, 1)
    for older in range(version, getattr(event_class, _CLASS_VERSION, 1)):
        getattr(event_class, f"upcast_v{older}_v{older + 1}")(fields)
    fields |= {"originator_id": _NO_ID, "originator_version": originator_version}
    return msgspec.convert(fields, event_class)
