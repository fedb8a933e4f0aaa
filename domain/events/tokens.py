"""Facts about API tokens; the token itself, and its hash, are not among them."""

from datetime import datetime
from uuid import UUID

from domain.events.recorded import Created, Event


class TokenCreated(Created):
    """A token began to speak for a subject; roles and projects say how far it reaches."""

    TOPIC = "TokenCreated"
    subject: str
    name: str
    roles: tuple[str, ...]
    projects: tuple[UUID, ...]
    expires_at: datetime | None


class TokenRevoked(Event):
    """A token speaks for nobody any more."""

    TOPIC = "TokenRevoked"
