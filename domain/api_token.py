"""An API token: whom it speaks for, how far it reaches, and its end; not the token itself."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain import events


class ApiToken(Aggregate):
    """The commands of a token; what its roles allow is not decided here."""

    TOPIC: ClassVar[str] = "ApiToken"
    Event = events.Event
    Created = events.TokenCreated

    def __init__(
        self,
        *,
        subject: str,
        name: str,
        roles: tuple[str, ...],
        projects: tuple[UUID, ...],
        expires_at: datetime | None,
    ) -> None:
        self.subject = subject
        self.name = name
        self.roles = roles
        self.projects = projects
        self.expires_at = expires_at
        self.is_revoked = False

    @classmethod
    def create(
        cls,
        *,
        token_id: UUID,
        subject: str,
        name: str,
        roles: Sequence[str],
        projects: Sequence[UUID],
        expires_at: datetime | None,
        at: datetime,
    ) -> Self:
        """Create a token."""
        return cls._create(
            events.TokenCreated,
            id=token_id,
            timestamp=at,
            subject=subject,
            name=name,
            roles=tuple(roles),
            projects=tuple(projects),
            expires_at=expires_at,
        )

    def apply(self, event: events.Event) -> None:
        """Take an event in, new or replayed."""
        match event:
            case events.TokenCreated():
                pass  # the library hands its fields to __init__
            case events.TokenRevoked():
                self.is_revoked = True
            case _:
                raise TypeError(f"{type(event).__name__} is no event of an API token")

    def revoke(self, *, at: datetime) -> None:
        """End the token at once; nothing if that was done before."""
        if not self.is_revoked:
            self.trigger_event(events.TokenRevoked, timestamp=at)
