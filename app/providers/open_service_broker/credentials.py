"""A broker's credentials, as those that variables are made from.

Brokers name things as they like. Where the value of the variable stands is said by a path,
`connection.uri`, or by a template, `https://{username}:{password}@{host}:{port}`, whose values are
quoted for a URL.
"""

import json
import re
from collections.abc import Mapping
from urllib.parse import quote

_PATH = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_PLACE = re.compile(r"\{([^{}]*)\}")


class CredentialMissingError(Exception):
    """The credentials lack what the variable is made from; the text holds names only."""


def problem_of(rule: str) -> str | None:
    """Return what is wrong with a path or template, if anything is."""
    paths = _PLACE.findall(rule) if "{" in rule else [rule]
    if paths and all(_PATH.fullmatch(path) for path in paths):
        return None
    return "must be a path such as connection.uri, or a template such as https://{host}:{port}"


def mapped(*, rule: str, found: Mapping[str, object]) -> Mapping[str, str]:
    """Return the credentials by name, and as `uri` what the rule gives.

    Raises CredentialMissingError.
    """
    flat = {name: _text(value) for name, value in found.items() if value is not None}
    if "{" not in rule:
        return {**flat, "uri": _at(rule, found)}
    uri = _PLACE.sub(lambda place: _quoted(_at(place.group(1), found)), rule)
    return {**flat, "uri": uri}


def strings_in(value: object) -> list[str]:
    """Return every text in a value: what must not be repeated in an error."""
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in strings_in(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in strings_in(each)]
    return [value] if isinstance(value, str) else []


def _at(path: str, found: Mapping[str, object]) -> str:
    value: object = found
    for name in path.split("."):
        if not isinstance(value, Mapping) or value.get(name) is None:
            names = ", ".join(sorted(map(str, found))) or "nothing"
            raise CredentialMissingError(f"the broker's credentials lack {path}; there is: {names}")
        value = value[name]
    if isinstance(value, Mapping | list):
        raise CredentialMissingError(f"{path} of the broker's credentials is no single value")
    return _text(value)


def _quoted(text: str) -> str:
    is_host = re.fullmatch(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]", text)
    return text if is_host else quote(text, safe="")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
