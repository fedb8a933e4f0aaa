"""What a request asks for, from its parameters; anything else is refused."""

import dataclasses
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from app.audit import selecting
from app.eventlog import epochs
from app.graphql import identifiers

_PLACES = ("after", "until")
_IDS = {"project": "Project", "environment": "Environment"}


class BadRequestError(Exception):
    """A parameter is wrong; the text says which, and what is meant."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """Which events, from where, up to where, and whether to wait for more."""

    selection: selecting.Selection
    after: epochs.Place | None
    until: epochs.Place | None
    follows: bool


def read(parameters: Iterable[tuple[str, str]]) -> Asked:
    """Return what the parameters ask for. Raises BadRequestError."""
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        given.setdefault(name, []).append(value)
    names = tuple(given.pop("event", ()))
    for name, values in given.items():
        if len(values) > 1:
            raise BadRequestError(f"{name} is given more than once.")
    single = {name: values[0] for name, values in given.items()}
    places = {name: position(single.pop(name, None), name=name) for name in _PLACES}
    follows = single.pop("follow", "0")
    if follows not in ("0", "1"):
        raise BadRequestError("follow is 1 or 0.")
    return Asked(selection=_selection(single, names), follows=follows == "1", **places)


def position(text: str | None, *, name: str) -> epochs.Place | None:
    """Return the position that a text tells. Raises BadRequestError."""
    try:
        return None if text is None else epochs.Place.parsed(text)
    except ValueError as error:
        raise BadRequestError(f"{name} must be a position, as events tell theirs.") from error


def moment(text: str | None, *, name: str) -> datetime | None:
    """Return the moment that a text tells. Raises BadRequestError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequestError(f"{name} must be a moment such as 2026-01-31T09:30:00Z.") from error
    if found.tzinfo is None:
        raise BadRequestError(f"{name} needs an offset: end it with Z for UTC.")
    return found


def _selection(given: dict[str, str], names: tuple[str, ...]) -> selecting.Selection:
    selection = selecting.Selection(
        events=tuple(_text(each, name="event") for each in names) or None,
        subject=_subject(given.pop("subject", None)),
        project=_id(given.pop("project", None), name="project"),
        environment=_id(given.pop("environment", None), name="environment"),
        actor=_text(given.pop("actor"), name="actor") if "actor" in given else None,
        correlation_id=_uuid(given.pop("correlationId", None), name="correlationId"),
        recorded_from=moment(given.pop("recordedFrom", None), name="recordedFrom"),
        recorded_before=moment(given.pop("recordedBefore", None), name="recordedBefore"),
    )
    if given:
        raise BadRequestError(f"{', '.join(sorted(given))} is not known here.")
    return selection


def _text(text: str, *, name: str) -> str:
    """Return a text that PostgreSQL can hold. Raises BadRequestError."""
    try:
        text.encode()  # half a character may come from a command line
        is_storable = "\x00" not in text
    except UnicodeEncodeError:
        is_storable = False
    if not is_storable:
        raise BadRequestError(f"{name} holds a character that cannot be stored.")
    return text


def _subject(text: str | None) -> UUID | None:
    """Return the uuid of an id, as GraphQL writes it, or as the lines do."""
    found = None if text is None else identifiers.parsed(text)
    return found[1] if found is not None else _uuid(text, name="subject")


def _id(text: str | None, *, name: str) -> UUID | None:
    if text is None:
        return None
    found = identifiers.uuid_of(text, type_name=_IDS[name])
    if found is None:
        raise BadRequestError(f"{name} must be an id.")
    return found


def _uuid(text: str | None, *, name: str) -> UUID | None:
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise BadRequestError(f"{name} must be an id.") from error
