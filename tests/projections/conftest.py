import builtins
import dataclasses
import datetime as dt
import functools
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st

from domain import events
from projections.projection import Key, Projection, RecordedEvent, Row

_NOON = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)

Record = Callable[..., RecordedEvent]
Fold = Callable[[Projection, Sequence[RecordedEvent]], dict[Key, Row]]
AnyFields = Callable[[type[events.Event]], st.SearchStrategy[dict[str, Any]]]


@pytest.fixture(scope="session")
def record() -> Record:
    """Make an event as the log holds it: event 3 is version 3, recorded at 12:03."""
    return _recorded


@pytest.fixture(scope="session")
def fold() -> Fold:
    """Fold events into the rows of a read model."""
    return _folded


@pytest.fixture(scope="session")
def any_fields() -> AnyFields:
    """Draw values for the own fields of an event class, by their types."""
    return _fields


def _recorded(
    event_class: type[events.Event],
    *,
    of: UUID,
    position: int = 1,
    asked_because: str | None = None,
    **fields: Any,  # noqa: ANN401  an event's own fields
) -> RecordedEvent:
    at = _NOON + dt.timedelta(minutes=position)
    if issubclass(event_class, events.Created):
        fields["originator_topic"] = event_class.TOPIC
    return RecordedEvent(
        position=position,
        event=event_class(originator_id=of, originator_version=position, timestamp=at, **fields),
        event_id=UUID(int=position),
        command_id=UUID(int=100 + position),
        actor="ada",
        correlation_id=UUID(int=200 + position),
        causation_id=None,
        reason=asked_because,
        recorded_at=at,
    )


def _folded(projection: Projection, recorded: Sequence[RecordedEvent]) -> dict[Key, Row]:
    rows: dict[Key, Row] = {}
    for one in recorded:
        for key in projection.keys(one):
            row = projection.fold(rows.get(key), one, key)
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
    return rows


@functools.cache
def _fields(event_class: type[events.Event]) -> st.SearchStrategy[dict[str, Any]]:
    own = inspect.get_annotations(event_class)
    return st.fixed_dictionaries(
        {
            name: _any(kind)
            for name, kind in own.items()
            if typing.get_origin(kind) is not typing.ClassVar
        }
    )


def _any(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401  whatever an annotation may be
    of = typing.get_args(kind)
    match typing.get_origin(kind) or kind:
        case types.UnionType:
            drawn = st.one_of([_any(one) for one in of])
        case builtins.tuple:
            drawn = st.lists(_any(of[0]), max_size=3).map(tuple)
        case builtins.dict:
            drawn = st.dictionaries(st.text(), st.integers(min_value=0, max_value=9), max_size=3)
        case builtins.int:
            drawn = st.integers(min_value=0, max_value=1000)
        case dt.datetime:
            drawn = st.datetimes(timezones=st.just(dt.UTC))
        case one if dataclasses.is_dataclass(one):
            drawn = st.builds(one, **{name: _any(of) for name, of in one.__annotations__.items()})
        case one:
            drawn = st.from_type(one)
    return drawn
