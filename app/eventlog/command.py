"""The command behind events, its receipt, and how an append can fail."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec


class Command(msgspec.Struct, frozen=True):
    """Who asked for what, and why; `fingerprint` tells whether a repeat asks for the same."""

    id: UUID
    fingerprint: str
    actor: str
    correlation_id: UUID
    causation_id: UUID | None = None
    reason: str | None = None
    traceparent: str | None = None
    token_id: str | None = None


class Assumed(msgspec.Struct, frozen=True):
    """The versions of aggregates that a command was decided on without a look at the log."""

    epoch: int
    versions: Mapping[UUID, int]


class Receipt(msgspec.Struct, frozen=True):
    """Where the events of a command are; without events, first_position is last_position + 1."""

    first_position: int
    last_position: int
    recorded_at: datetime
    is_repeat: bool


class RecordedCommand(msgspec.Struct, frozen=True):
    """A command that the log holds."""

    fingerprint: str
    receipt: Receipt


class AppendError(Exception):
    """A command was not recorded; `code` says why, for programs."""

    code: str

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class VersionConflictError(AppendError):
    """An event does not follow the last one of its aggregate."""

    code = "VERSION_CONFLICT"

    def __init__(self, *, aggregate_id: UUID, current_version: int) -> None:
        super().__init__(
            f"Cannot record the events: {aggregate_id} is at version {current_version} now. "
            "Load it again and decide anew."
        )
        self.aggregate_id = aggregate_id
        self.current_version = current_version


class CommandReusedError(AppendError):
    """The command id stands for another command already."""

    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self, *, command_id: UUID) -> None:
        super().__init__(
            f"Cannot record command {command_id}: the id was used for another command. "
            "Use a new one."
        )
        self.command_id = command_id


class LogUnavailableError(AppendError):
    """The database did not answer in time.

    A command may or may not be recorded: sent again under its id, it is recorded once.
    """

    code = "UNAVAILABLE"

    def __init__(self, message: str = "The event log cannot be reached. Try again later.") -> None:
        super().__init__(message)
