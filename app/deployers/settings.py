"""What an environment may set for the deployer that writes a file."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.deployers import contract
from domain import errors

_DEFAULT_TIMEOUT = 600
_LONGEST_TIMEOUT = 86_400
_KNOWN = ("path", "command", "timeout")


@dataclass(frozen=True, kw_only=True)
class EnvFileSettings:
    """Where the file goes, which command follows, and how long it may take in seconds."""

    path: Path | None
    command: tuple[str, ...]
    timeout: float

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> "EnvFileSettings":
        """Read the settings; raises DeployerSettingsError with every problem."""
        path, command = settings.get("path"), settings.get("command")
        timeout = settings.get("timeout", _DEFAULT_TIMEOUT)
        problems = [
            *_unknown(settings),
            *_path_problems(path),
            *_command_problems(command),
            *_timeout_problems(timeout),
        ]
        if problems:
            raise contract.DeployerSettingsError(problems)
        return cls(
            path=Path(str(path)) if path is not None else None,
            command=tuple(map(str, command)) if isinstance(command, list | tuple) else (),
            timeout=float(str(timeout)),
        )


def _unknown(settings: Mapping[str, object]) -> Iterator[errors.Problem]:
    for name in sorted(set(settings) - set(_KNOWN)):
        yield errors.Problem(path=name, message=f"is unknown; there are {', '.join(_KNOWN)}")


def _path_problems(path: object) -> Iterator[errors.Problem]:
    if path is None:
        return
    if not isinstance(path, str) or not path.isprintable():
        yield errors.Problem(path="path", message="must be text on one line")
    elif not path.startswith("/") or os.path.normpath(path) != path:
        yield errors.Problem(path="path", message="must be absolute, without . and .. in it")
    elif reason := unfit(Path(path)):
        yield errors.Problem(path="path", message=reason)


def unfit(path: Path) -> str:
    """Tell why no file can be put there; empty if one can."""
    try:
        if path.is_symlink():
            return "is a symbolic link: name the file itself"
        if path.is_dir():
            return "is a directory: name a file in it"
        if path.exists() and not path.is_file():
            return "is no regular file"
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    return ""


def _command_problems(command: object) -> Iterator[errors.Problem]:
    if command is None:
        return
    if not isinstance(command, list | tuple) or not command:
        yield errors.Problem(path="command", message="must be a list: the program, its arguments")
        return
    for index, word in enumerate(command):
        if not isinstance(word, str) or "\0" in word or (index == 0 and not word):
            yield errors.Problem(path=f"command.{index}", message="must be text")


def _timeout_problems(timeout: object) -> Iterator[errors.Problem]:
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 < float(str(timeout)) <= _LONGEST_TIMEOUT:
        yield errors.Problem(
            path="timeout", message=f"must be a number of seconds, at most {_LONGEST_TIMEOUT}"
        )
