"""What the resolvers of one request, or of one WebSocket connection, work with."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping

import strawberry

from app import application
from app.access import caller
from app.audit import proofs
from app.eventlog import log
from app.graphql import costs, reading

Authenticate = Callable[[str], Awaitable[caller.Caller | None]]
"""Returns whoever a token speaks for."""


@dataclasses.dataclass
class Context:
    """Who asks, and the parts of the program; nobody has signed in if `caller` is None."""

    caller: caller.Caller | None
    reader: reading.Reader
    event_log: log.EventLog
    application: application.Application
    proofs: proofs.Proofs
    is_introspection_open: bool = True
    connection_params: Mapping[str, object] | None = None
    """What a WebSocket client sent first."""
    token: str | None = None
    """What the caller signed in with; looked at again while a stream is open."""
    authenticate: Authenticate | None = None
    """Asked again before each operation, over a connection that lasts."""
    traceparent: str | None = None
    """The trace that the request belongs to, as W3C Trace Context writes it."""
    purses: costs.Purses | None = None
    """Who pays for what they ask; nobody does if it is None."""
    address: str = ""
    """Where the caller is; they pay who have not signed in."""

    async def look_again(self) -> None:
        """See who asks, before each operation of a connection: a token may have been revoked."""
        if self.token is not None and self.authenticate is not None:
            self.caller = await self.authenticate(self.token)

    def pay(self, cost: int) -> None:
        """Let the caller pay. Raises RATE_LIMITED."""
        if self.purses is not None:
            self.purses.pay(payer=self._payer, cost=cost)

    def reimburse(self, cost: int) -> None:
        """Give the caller back what an operation cost that was not carried out."""
        if self.purses is not None:
            self.purses.reimburse(payer=self._payer, cost=cost)

    @property
    def _payer(self) -> str:
        return self.caller.token_id if self.caller else self.address


Info = strawberry.Info[Context, object]
"""What a resolver is told."""
