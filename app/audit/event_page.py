"""The page that tells what each event means, made from the classes themselves."""

import dataclasses
import enum
import inspect
import itertools
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from domain import events

_HEAD = """\
# Events

Everything that Servicebook records, printed by `servicebook events describe`. A test fails when
this page and the code differ. An event that was released never changes: a new meaning is a new
event, a new shape a new version, and older ones are read as the newest.

An event comes as a CloudEvent, from `GET /audit/events` and from `servicebook events export`:
`type` is its name, `data` its fields in the version that it was recorded in, `subject` the id of
what it is about, `subjectversion` its place among the events of that, `position` its place in the
log. `actor` did it, for `reason` if there is one, by the command `commandid`; `correlationid` is
the same for everything that one command led to, `causationid` is the `id` of the event that it
followed from. GraphQL shows the same as `AuditEvent`. `data` always has `timestamp`, when it was
decided.

What a person wrote, such as the `reason` of `ServiceAbandoned`, is sealed for its author, and
begins with `sealed.1.`: GraphQL opens it for whoever may see it, until that person is erased.
"""
_ON_EVERY_EVENT = frozenset(
    {"originator_id", "originator_version", "originator_topic", "timestamp"}
)
_TITLES = MappingProxyType(
    {
        "projects": "Projects",
        "environments": "Environments",
        "services": "Service instances",
        "deployments": "Deployments",
        "people": "People",
        "tokens": "API tokens",
    }
)
_WORDS: Mapping[object, str] = MappingProxyType(
    {
        str: "text",
        int: "whole number",
        bool: "true or false",
        UUID: "id",
        datetime: "moment",
        typing.Any: "anything",
    }
)


def text() -> str:
    """Return the page, in Markdown."""
    return "\n".join([_HEAD, *itertools.chain.from_iterable(map(_chapter, _TITLES))])


def _chapter(name: str) -> Iterator[str]:
    module = f"domain.events.{name}"
    yield f"## {_TITLES[name]}\n"
    yield _first_line(sys.modules[module]) + "\n"
    for topic, event in events.all_events().items():
        if event.__module__ == module:
            yield from _section(topic, event)


def _section(topic: str, event: type[events.Event]) -> Iterator[str]:
    yield f"### {topic}\n"
    yield f"Version {getattr(event, 'class_version', 1)}. {_first_line(event)}\n"
    fields = _fields(event)
    if fields:
        yield "| field | holds |"
        yield "| --- | --- |"
        yield from (f"| `{name}` | {_words(hint)} |" for name, hint in fields.items())
        yield ""


def _fields(class_: type) -> dict[str, object]:
    """Return the types of what an event tells beside what all events tell."""
    hints = typing.get_type_hints(class_)
    own = {
        name
        for each in class_.__mro__
        if each.__module__.startswith("domain.")
        for name in inspect.get_annotations(each)
    }
    return {
        name: hint
        for name, hint in hints.items()
        if name in own - _ON_EVERY_EVENT and typing.get_origin(hint) is not typing.ClassVar
    }


def _words(hint: object) -> str:
    """Return what a value of a type is in JSON, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint]
    if origin in (types.UnionType, typing.Union):
        return " or ".join("null" if each is type(None) else _words(each) for each in arguments)
    if origin in (tuple, list):
        return f"list of: {_words(arguments[0])}"
    if origin is dict:
        return "object" if arguments[1] is typing.Any else f"object of: {_words(arguments[1])}"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "one of " + ", ".join(f"`{each.value}`" for each in hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        inner = typing.get_type_hints(hint)
        shown = (f"`{each.name}`: {_words(inner[each.name])}" for each in dataclasses.fields(hint))
        return "object with " + "; ".join(shown)
    raise TypeError(f"no words for {hint}")


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n\n")[0].replace("\n", " ")
