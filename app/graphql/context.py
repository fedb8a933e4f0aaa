"""What the resolvers of one request, or of one WebSocket connection, work with."""

import dataclasses
from collections.abc import Mapping

import strawberry

from app import application
from app.access import caller
from app.eventlog import log
from app.graphql import costs, reading


@dataclasses.dataclass
class Context:
    """Who asks, and the parts of the program; nobody has signed in if `caller` is None."""

    caller: caller.Caller | None
    reader: reading.Reader
    event_log: log.EventLog
    application: application.Application
    is_introspection_open: bool = True
    connection_params: Mapping[str, object] | None = None
    """What a WebSocket client sent first."""
    token: str | None = None
    """What the caller signed in with; looked at again while a stream is open."""
    purses: costs.Purses | None = None
    """Who pays for what they ask; nobody does if it is None."""
    address: str = ""
    """Where the caller is; they pay who have not signed in."""

    def pay(self, cost: int) -> None:
        """Let the caller pay. Raises RATE_LIMITED."""
        if self.purses is not None:
            payer = self.caller.token_id if self.caller else self.address
            self.purses.pay(payer=payer, cost=cost)


Info = strawberry.Info[Context, object]
"""What a resolver is told."""
