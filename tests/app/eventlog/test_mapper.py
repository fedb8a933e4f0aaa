import dataclasses
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest
from eventsourcing import persistence
from hypothesis import given
from hypothesis import strategies as st

from app.eventlog import mapper
from domain import events

GOLDEN = Path(__file__).parent / "golden"
EVENT_CLASSES = {
    topic: event_class
    for topic, event_class in events.all_events().items()
    if event_class.__module__.startswith("domain.")
}
ORIGINATOR = UUID(int=1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)

st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))


def golden_file(event_class: type[events.Event]) -> Path:
    return GOLDEN / f"{event_class.TOPIC}.v{getattr(event_class, 'class_version', 1)}.json"


def strategy(kind: type[Any]) -> st.SearchStrategy[Any]:
    if typing.get_origin(kind) is dict:
        return st.dictionaries(st.text(), JSON)
    return st.from_type(kind)


def any_event(event_class: type[events.Event]) -> st.SearchStrategy[events.Event]:
    hints = typing.get_type_hints(event_class) | {"originator_id": UUID}
    fields = {field.name for field in dataclasses.fields(event_class)}
    return st.builds(event_class, **{name: strategy(hints[name]) for name in sorted(fields)})


@given(
    st.sampled_from(sorted(EVENT_CLASSES)).flatmap(lambda topic: any_event(EVENT_CLASSES[topic]))
)
def test_every_event_is_read_as_it_was_written(event: events.Event) -> None:
    event_mapper = mapper.EventMapper()

    stored = event_mapper.to_stored_event(event)

    assert event_mapper.to_domain_event(stored) == event
    assert stored.topic == event.TOPIC


@pytest.mark.parametrize("topic", sorted(EVENT_CLASSES))
def test_each_event_class_has_a_sample_that_still_loads(
    topic: str, sample: Callable[[type[events.Event]], events.Event]
) -> None:
    file = golden_file(EVENT_CLASSES[topic])
    expected = mapper.EventMapper().to_stored_event(sample(EVENT_CLASSES[topic])).state
    assert file.exists(), f"store the sample of a new class in {file}:\n{expected.decode()}"
    state = file.read_bytes().rstrip(b"\n")

    event = mapper.EventMapper().to_domain_event(
        persistence.StoredEvent(ORIGINATOR, 1, topic, state)
    )

    assert mapper.EventMapper().to_stored_event(event).state == state


def test_each_sample_belongs_to_an_event_class_and_loads() -> None:
    for file in sorted(GOLDEN.iterdir()):
        topic = file.name.split(".")[0]
        stored = persistence.StoredEvent(ORIGINATOR, 1, topic, file.read_bytes())

        event = mapper.EventMapper().to_domain_event(stored)

        assert topic == event.TOPIC


def test_state_is_canonical_json(member: Callable[..., events.MemberAdded]) -> None:
    stored = mapper.EventMapper().to_stored_event(member(ORIGINATOR, 4, subject="grâce"))

    assert stored.originator_id == ORIGINATOR
    assert stored.originator_version == 4
    assert stored.state.decode() == (
        '{"role":"DEVELOPER","subject":"grâce","timestamp":"2026-03-01T09:30:15.250000Z"}'
    )


def test_keys_of_parameters_are_sorted_too(
    sample: Callable[[type[events.Event]], events.Event],
) -> None:
    event = dataclasses.replace(
        sample(events.ServiceConfigured), parameters={"b": {"d": 1, "c": 2}, "a": 3}
    )

    state = mapper.EventMapper().to_stored_event(event).state.decode()

    assert '"parameters":{"a":3,"b":{"c":2,"d":1}}' in state


def test_unknown_topic_is_named() -> None:
    stored = persistence.StoredEvent(ORIGINATOR, 1, "ServiceTeleported", b"{}")

    with pytest.raises(mapper.UnknownTopicError, match="'ServiceTeleported'"):
        mapper.EventMapper().to_domain_event(stored)


def test_topic_never_imports_a_module() -> None:
    stored = persistence.StoredEvent(ORIGINATOR, 1, "pathlib:Path", b"{}")

    with pytest.raises(mapper.UnknownTopicError):
        mapper.EventMapper().to_domain_event(stored)


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (b'{"role":"DEVELOPER","timestamp":"2026-03-01T09:30:15Z"}', "subject"),
        (b'{"role":"KING","subject":"ada","timestamp":"2026-03-01T09:30:15Z"}', "KING"),
        (b'{"role":', "truncated"),
    ],
)
def test_state_that_does_not_fit_says_where(state: bytes, problem: str) -> None:
    stored = persistence.StoredEvent(ORIGINATOR, 7, "MemberAdded", state)

    with pytest.raises(
        persistence.MapperDeserialisationError, match=f"MemberAdded of .* version 7.*{problem}"
    ):
        mapper.EventMapper().to_domain_event(stored)


class PlotMeasured(events.Event):
    TOPIC = "PlotMeasured"
    class_version: ClassVar[int] = 3
    width: int
    height: int

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["size"] = [state.pop("side")] * 2

    @staticmethod
    def upcast_v2_v3(state: dict[str, Any]) -> None:
        state["width"], state["height"] = state.pop("size")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_samples_of_old_versions_are_upcast_in_steps(version: int) -> None:
    """No event of the product has a third version yet; this one has."""
    state = (GOLDEN / f"PlotMeasured.v{version}.json").read_bytes()

    event = mapper.EventMapper().to_domain_event(
        persistence.StoredEvent(ORIGINATOR, 1, "PlotMeasured", state)
    )

    assert event == PlotMeasured(
        originator_id=ORIGINATOR,
        originator_version=1,
        timestamp=datetime(2026, 3, 1, 9, 30, 15, 250000, tzinfo=UTC),
        width=2,
        height=2,
    )


@pytest.mark.parametrize("topic", sorted(EVENT_CLASSES))
def test_every_version_up_to_the_current_one_has_a_sample(topic: str) -> None:
    event_class = EVENT_CLASSES[topic]
    for version in range(1, getattr(event_class, "class_version", 1) + 1):
        assert (GOLDEN / f"{topic}.v{version}.json").exists()


def test_class_version_is_stored_above_the_first() -> None:
    event = PlotMeasured(
        originator_id=ORIGINATOR,
        originator_version=1,
        timestamp=datetime(2026, 3, 1, tzinfo=UTC),
        width=1,
        height=2,
    )

    state = mapper.EventMapper().to_stored_event(event).state

    assert state == (b'{"class_version":3,"height":2,"timestamp":"2026-03-01T00:00:00Z","width":1}')


def test_ciphers_are_refused() -> None:
    class Rot(persistence.Compressor):
        def compress(self, data: bytes) -> bytes:
            return data

        def decompress(self, data: bytes) -> bytes:
            return data

    with pytest.raises(ValueError, match="plain JSON"):
        mapper.EventMapper(compressor=Rot())
