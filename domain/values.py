"""The words of the domain as values; an invalid one cannot be built."""

import dataclasses
import enum
import re
from uuid import UUID

from domain import errors

DEFAULT_PREFIX = "DEFAULT"

_PREFIX = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_PREFIX_LIMIT = 32
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NAME_LIMIT = 63


class ServiceKind(enum.StrEnum):
    """What a service is for; decides the names of its variables."""

    DATABASE = "DATABASE"
    STORAGE = "STORAGE"
    CACHE = "CACHE"
    QUEUE = "QUEUE"
    SEARCH = "SEARCH"


class OperationKind(enum.StrEnum):
    """What a provider is asked to do."""

    PROVISION = "PROVISION"
    UPDATE = "UPDATE"
    ROTATE = "ROTATE"
    REMOVE = "REMOVE"


class OperationStatus(enum.StrEnum):
    """How an operation stands; one that succeeded is no longer shown."""

    IN_PROGRESS = "IN_PROGRESS"
    FAILED = "FAILED"


class DeploymentRole(enum.StrEnum):
    """What a running deployment does with a service instance that it holds."""

    ATTACH = "ATTACH"
    DETACH = "DETACH"


class DeploymentStep(enum.StrEnum):
    """The steps of a deployment, in order."""

    SERVICES = "SERVICES"
    CONFIGURE = "CONFIGURE"
    RELEASE = "RELEASE"
    SWITCH = "SWITCH"
    AFTER = "AFTER"


class DeploymentStatus(enum.StrEnum):
    """How a deployment stands."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class MemberRole(enum.StrEnum):
    """What a person may do in a project."""

    VIEWER = "VIEWER"
    DEVELOPER = "DEVELOPER"
    MANAGER = "MANAGER"


@dataclasses.dataclass(frozen=True)
class Variable:
    """A variable of a revision: a name, and where its value comes from; never the value."""

    name: str
    service_instance_id: UUID
    secret_version: int


def prefix(text: str) -> str:
    """Return the prefix that `text` stands for: trimmed, in upper case (R8).

    Raises PREFIX_INVALID.
    """
    wanted = text.strip().upper()
    is_plain = text.isascii()  # else a ligature would become two letters
    if not is_plain or len(wanted) > _PREFIX_LIMIT or not _PREFIX.fullmatch(wanted):
        raise errors.InputRefusedError(
            code=errors.RefusalCode.PREFIX_INVALID,
            message=f"{_shown(text)} is no prefix: use letters, digits and single underscores, "
            f"a letter first, at most {_PREFIX_LIMIT} characters.",
            path="prefix",
        )
    return wanted


def name(text: str, *, path: str = "name") -> str:
    """Return the name of a project or environment that `text` stands for, trimmed.

    Raises INVALID_INPUT.
    """
    wanted = text.strip()
    if len(wanted) > _NAME_LIMIT or not _NAME.fullmatch(wanted):
        raise errors.InputRefusedError(
            code=errors.RefusalCode.INVALID_INPUT,
            message=f"{_shown(text)} is no name: use lower-case letters, digits and single "
            f"hyphens, a letter first, at most {_NAME_LIMIT} characters.",
            path=path,
        )
    return wanted


def text(given: str, *, path: str, limit: int) -> str:
    """Return what somebody wrote, trimmed. Raises INVALID_INPUT if it is empty or too long."""
    wanted = given.strip()
    if not 0 < len(wanted) <= limit:
        raise errors.InputRefusedError(
            code=errors.RefusalCode.INVALID_INPUT,
            message=f"{path} takes 1 to {limit} characters.",
            path=path,
        )
    return wanted


def label(*, environment_name: str, prefix: str, kind: ServiceKind) -> str:
    """Return how people name an instance, and the text that confirms its removal (R25)."""
    return f"{environment_name}/{prefix}_{kind}"


def _shown(text: str) -> str:
    """Quote what was typed, shortened: a refusal is read by people."""
    return repr(text if len(text) <= _NAME_LIMIT else text[:_NAME_LIMIT] + "…")
