"""Why a task runs: the event that it follows from."""

import dataclasses
from uuid import UUID

from app.access import caller
from app.application.request import Request


@dataclasses.dataclass(frozen=True)
class Cause:
    """The event that a task follows from, and the command chain that it belongs to."""

    event_id: UUID
    correlation_id: UUID
    traceparent: str | None = None

    def request(self, name: str, *, key: str | None = None) -> Request:
        """Return the command of a task; with a key, it counts once however often it is sent."""
        return Request(
            actor=caller.PROGRAM,
            name=name,
            idempotency_key=key,
            correlation_id=self.correlation_id,
            causation_id=self.event_id,
            traceparent=self.traceparent,
        )
