"""Ids as clients see them: the type's mark and the uuid."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from app import uuids

_SHAPE = re.compile(r"(prj|env|svc|dep)_([0-9a-f]{32})")

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "prj": "Project",
        "env": "Environment",
        "svc": "ServiceInstance",
        "dep": "Deployment",
    }
)
"""The type that a mark stands for."""

_MARKS = {type_: mark for mark, type_ in TYPES.items()}


def text(*, type_name: str, uuid: UUID) -> str:
    """Return the id of a thing."""
    return f"{_MARKS[type_name]}_{uuid.hex}"


def parsed(id_: str) -> tuple[str, UUID] | None:
    """Return the type and the uuid of an id; None if it is malformed."""
    found = _SHAPE.fullmatch(id_)
    return None if found is None else (TYPES[found[1]], uuids.of_digits(found[2]))


def uuid_of(id_: str | None, *, type_name: str) -> UUID | None:
    """Return the uuid of an id of this type; None if it is malformed or of another."""
    found = None if id_ is None else parsed(id_)
    return found[1] if found is not None and found[0] == type_name else None
