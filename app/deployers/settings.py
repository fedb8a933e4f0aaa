"""What an environment may set for the deployers that run on this machine."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.deployers import contract
from domain import errors

_DEFAULT_TIMEOUT = 600
_LONGEST_TIMEOUT = 86_400


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
        refuse(
            [
                *unknown(settings, known=("path", "command", "timeout")),
                *_path_problems(path),
                *_command_problems(command),
                *timeout_problems(timeout, longest=_LONGEST_TIMEOUT),
            ]
        )
        return cls(
            path=Path(str(path)) if path is not None else None,
            command=_words(command),
            timeout=float(str(timeout)),
        )


@dataclass(frozen=True, kw_only=True)
class CommandSettings:
    """Which command, where it runs, and how long it may take in seconds."""

    command: tuple[str, ...]
    directory: Path | None
    timeout: float

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> "CommandSettings":
        """Read the settings; raises DeployerSettingsError with every problem."""
        command, directory = settings.get("command"), settings.get("directory")
        timeout = settings.get("timeout", _DEFAULT_TIMEOUT)
        missing = [errors.Problem(path="command", message="is missing: say what to run")]
        refuse(
            [
                *unknown(settings, known=("command", "directory", "timeout")),
                *(missing if command is None else _command_problems(command)),
                *_directory_problems(directory),
                *timeout_problems(timeout, longest=_LONGEST_TIMEOUT),
            ]
        )
        return cls(
            command=_words(command),
            directory=Path(str(directory)) if directory is not None else None,
            timeout=float(str(timeout)),
        )


def refuse(problems: Sequence[errors.Problem]) -> None:
    """Raise DeployerSettingsError if there is any problem."""
    if problems:
        raise contract.DeployerSettingsError(problems)


def unknown(settings: Mapping[str, object], *, known: Sequence[str]) -> Iterator[errors.Problem]:
    """Yield a problem for each name that nobody reads."""
    for name in sorted(set(settings) - set(known)):
        there_are = f"there are {', '.join(known)}" if known else "there are no settings"
        yield errors.Problem(path=name, message=f"is unknown; {there_are}")


def timeout_problems(timeout: object, *, longest: int) -> Iterator[errors.Problem]:
    """Yield a problem unless it is a number of seconds."""
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 < float(str(timeout)) <= longest:
        yield errors.Problem(
            path="timeout", message=f"must be a number of seconds, at most {longest}"
        )


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


def _path_problems(path: object) -> Iterator[errors.Problem]:
    if path is None:
        return
    if (reason := _unreadable(path)) or (reason := unfit(Path(str(path)))):
        yield errors.Problem(path="path", message=reason)


def _directory_problems(directory: object) -> Iterator[errors.Problem]:
    if directory is not None and (reason := _unreadable(directory)):
        yield errors.Problem(path="directory", message=reason)


def _unreadable(path: object) -> str:
    if not isinstance(path, str) or not path.isprintable():
        return "must be text on one line"
    if not path.startswith("/") or os.path.normpath(path) != path:
        return "must be absolute, without . and .. in it"
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


def _words(command: object) -> tuple[str, ...]:
    return tuple(map(str, command)) if isinstance(command, list | tuple) else ()
