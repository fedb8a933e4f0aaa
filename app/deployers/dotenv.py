"""The format of a file of variables, as a shell reads it: `set -a; . file`."""

import re
from collections.abc import Mapping

HEADER = "# Written by Servicebook. A change made here is lost with the next deployment.\n"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class DotenvError(Exception):
    """A variable cannot be written."""


def render(variables: Mapping[str, str]) -> bytes:
    """Return the file's bytes; raises DotenvError."""
    check(variables)
    lines = [f"{name}={_quoted(value)}\n" for name, value in sorted(variables.items())]
    return (HEADER + "".join(lines)).encode()


def check(variables: Mapping[str, str]) -> None:
    """Refuse what no process can have in its environment; raises DotenvError."""
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            raise DotenvError(f"{name!r} is no name of a variable")
        if "\0" in value:
            raise DotenvError(f"the value of {name} contains a zero byte")


def _quoted(value: str) -> str:
    """Quote so that a shell changes nothing: between single quotes only they have a meaning."""
    return "'" + value.replace("'", "'\\''") + "'"
