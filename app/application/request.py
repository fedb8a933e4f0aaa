"""Who asks for a command, and how a repeat is told from a new one (R43, R44)."""

import dataclasses
import hashlib
import uuid
from uuid import UUID

import msgspec

from app import uuids
from app.access.caller import Caller
from app.eventlog import command

_NAMESPACE = UUID("5e7b1ceb-0000-5000-8000-000000000000")


@dataclasses.dataclass(frozen=True)
class Request:
    """One command as it came in.

    `content` is what was asked, so that a key used again for something else is noticed.
    """

    actor: str
    name: str
    content: object = None
    idempotency_key: str | None = None
    caller: Caller | None = None
    """Who must be allowed to; None if the system itself acts."""
    traceparent: str | None = None
    """The trace that it belongs to, as W3C Trace Context writes it; a new one if None."""
    correlation_id: UUID = dataclasses.field(default_factory=uuids.random)
    causation_id: UUID | None = None
    command_id: UUID = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Derive the command's id: a key is the caller's own, and names one command."""
        command_id = (
            uuids.random()
            if self.idempotency_key is None
            else uuid.uuid5(_NAMESPACE, f"{self.actor}\n{self.idempotency_key}")
        )
        object.__setattr__(self, "command_id", command_id)

    def new_id(self, purpose: str) -> UUID:
        """Return the id for something the command makes: the same when it is repeated."""
        return uuid.uuid5(self.command_id, purpose)

    def as_command(self) -> command.Command:
        """Return the command as the log records it."""
        return command.Command(
            id=self.command_id,
            fingerprint=self._fingerprint(),
            actor=self.actor,
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
            traceparent=self.traceparent or self._own_trace(),
            token_id=None if self.caller is None else self.caller.token_id,
        )

    def _own_trace(self) -> str:
        """Return a trace that begins here; its id is the correlation id."""
        return f"00-{self.correlation_id.hex}-{self.command_id.hex[:16]}-00"

    def _fingerprint(self) -> str:
        content = msgspec.json.encode([self.name, self.content], order="sorted")
        return hashlib.sha256(content).hexdigest()
