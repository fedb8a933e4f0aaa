"""The file that names brokers, and says how their offerings are taken.

    [brokers.search]
    url = "https://broker.example"
    username = "servicebook"
    password_file = "search.password"

    [brokers.search.offerings.elasticsearch]
    kind = "SEARCH"
    credential = "uri"

A password stands in a file of its own, or in the environment, never here.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from app.providers.open_service_broker import credentials
from domain import values

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$", max_length=63)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class ConfigurationError(Exception):
    """The file cannot be used; the text says why, without secrets."""


class TakenOffering(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a service of a broker's catalogue becomes an offering here."""

    kind: values.ServiceKind
    credential: _Text = "uri"
    """Where the variable's value stands in the broker's credentials; see `credentials`."""
    name: _Name | None = None
    """The offering's name here; without it, the broker's."""
    default_plan: _Text | None = None
    """The broker's name of the plan that is taken if none is given; without it, the first."""


class Broker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a broker is, and what is taken from it."""

    url: _Text
    username: _Text
    password_file: Path | None = None
    ca_file: Path | None = None
    """Certificates to trust instead of the usual ones."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 60.0
    """Seconds that the broker may take for one answer."""
    offerings: Annotated[dict[_Text, TakenOffering], msgspec.Meta(min_length=1)]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    brokers: dict[_Name, Broker]


def load(file: Path) -> Mapping[str, Broker]:
    """Read the file; paths in it are relative to it. Raises ConfigurationError."""
    try:
        document = msgspec.convert(
            tomllib.loads(file.read_text("utf-8")), type=_Document, dec_hook=_decoded
        )
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the brokers of {file} cannot be used: {error}") from error
    for name, broker in document.brokers.items():
        _check(file, name, broker)
    return {name: _placed(broker, file.parent) for name, broker in document.brokers.items()}


def password(*, name: str, broker: Broker, given: Mapping[str, str]) -> str:
    """Return the broker's password, from its file or from `given`, which the settings found.

    Raises ConfigurationError.
    """
    if broker.password_file is None:
        if name in given:
            return given[name]
        raise ConfigurationError(
            f"the broker {name} has no password: give password_file, or name it in"
            " SERVICEBOOK_BROKER_PASSWORDS"
        )
    try:
        text = broker.password_file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the password of the broker {name}: {error}") from error
    if not text:
        raise ConfigurationError(f"the password of the broker {name} is empty")
    return text


def _check(file: Path, name: str, broker: Broker) -> None:
    start = f"the brokers of {file} cannot be used: {name}"
    try:
        parts = urlsplit(broker.url)
        is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and is_plain
        _ = parts.port
    except ValueError:
        is_usable = False
    if not is_usable or re.search(r"\s", broker.url):
        raise ConfigurationError(f"{start}.url must be http or https, a host, and maybe a path")
    for service, taken in broker.offerings.items():
        problem = credentials.problem_of(taken.credential)
        if problem:
            raise ConfigurationError(f"{start}.offerings.{service}.credential {problem}")


def _placed(broker: Broker, directory: Path) -> Broker:
    files = {
        "password_file": broker.password_file and directory / broker.password_file,
        "ca_file": broker.ca_file and directory / broker.ca_file,
    }
    return msgspec.structs.replace(broker, **files)


def _decoded(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError(f"expected the path of a file, got {type(value).__name__}")
