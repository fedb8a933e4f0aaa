"""Events as canonical JSON: sorted keys, ISO times, readable with any tool."""

import dataclasses
import typing
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing import persistence
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.utils import get_topic

from domain import events

_ORIGINATOR = ("originator_id", "originator_version")  # in columns, not in the state
_CLASS_VERSION = "class_version"
_new, _set = object.__new__, object.__setattr__  # looked up once: this is done for each event

_typed_dict: Any = typing.TypedDict  # of fields that are known when it runs


class UnknownTopicError(Exception):
    """The log holds an event that this code has no class for."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic

    def __str__(self) -> str:
        return f"No event class has the topic {self.topic!r}: is the code older than the log?"


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
        self._forms: dict[str, _Form] = {}
        self._encode = msgspec.json.Encoder(order="sorted").encode

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> persistence.StoredEvent:
        """Return the event as it is stored."""
        return persistence.StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=get_topic(type(domain_event)),
            state=self.state(domain_event),
        )

    def state(self, event: DomainEventProtocol[UUID]) -> bytes:
        """Return what is stored of the event beside its place and its topic."""
        state = vars(event).copy()
        for name in _ORIGINATOR:
            del state[name]
        version = getattr(event, _CLASS_VERSION, 1)
        if version > 1:
            state[_CLASS_VERSION] = version
        return self._encode(state)

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
        form = self._forms.get(topic) or self._form(topic)
        try:
            fields = form.decode(state)
        except msgspec.MsgspecError as error:
            raise persistence.MapperDeserialisationError(
                f"{topic} of {originator_id}, version {originator_version}, "
                f"does not fit its class: {error}"
            ) from error
        fields["originator_id"] = originator_id
        fields["originator_version"] = originator_version
        event: events.Event = _new(form.event_class)
        _set(event, "__dict__", fields)
        return event

    def _form(self, topic: str) -> "_Form":
        """Return the form of a registered class, never of one that the text imports."""
        event_class = events.all_events().get(topic)
        if event_class is None:
            raise UnknownTopicError(topic)
        return self._forms.setdefault(topic, _Form(event_class))


class _Form:
    """What the state of an event holds.

    It is decoded into a dict of fields, which an event takes over: loads and rebuilds are mostly
    this. Fields that are missing have their default in the class.
    """

    def __init__(self, event_class: type[events.Event]) -> None:
        types = typing.get_type_hints(event_class)
        self._type = _typed_dict(
            event_class.__name__,
            {
                field.name: types[field.name]
                if field.default is dataclasses.MISSING
                else typing.NotRequired[types[field.name]]
                for field in dataclasses.fields(event_class)
                if field.name not in _ORIGINATOR
            },
        )
        self._version = getattr(event_class, _CLASS_VERSION, 1)
        self.event_class = event_class
        self.decode: Callable[[str], dict[str, Any]] = (
            msgspec.json.Decoder(self._type).decode if self._version == 1 else self._upcast
        )

    def _upcast(self, text: str) -> dict[str, Any]:
        state = msgspec.json.decode(text)
        for older in range(state.pop(_CLASS_VERSION, 1), self._version):
            getattr(self.event_class, f"upcast_v{older}_v{older + 1}")(state)
        upcast: dict[str, Any] = msgspec.convert(state, self._type)
        return upcast
