"""Values as PostgreSQL reads them from text."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from app.graphql.compiler import binding


def text_of(value: object) -> str | None:
    """Return the text of a value. Raises BAD_USER_INPUT for one that no column can hold."""
    if value is None:
        return None
    return _WRITERS[type(value)](value)


def _plain(text: str) -> str:
    if "\x00" in text or not (text.isascii() or _is_encodable(text)):
        raise binding.bad_input("A text holds characters that cannot be stored.")
    return text


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _array(values: list[object]) -> str:
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: object) -> str:
    text = text_of(value)
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_WRITERS: Mapping[type, Callable[[Any], str]] = MappingProxyType(
    {
        str: _plain,
        UUID: str,
        int: str,
        bool: str,
        datetime: datetime.isoformat,
        list: _array,
    }
)
