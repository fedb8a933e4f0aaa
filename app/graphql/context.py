"""What the resolvers of one request, or of one WebSocket connection, work with."""

import dataclasses

import strawberry

from app import application
from app.access import caller
from app.eventlog import log
from app.graphql import reading


@dataclasses.dataclass
class Context:
    """Who asks, and the parts of the program; nobody has signed in if `caller` is None."""

    caller: caller.Caller | None
    reader: reading.Reader
    event_log: log.EventLog
    application: application.Application


Info = strawberry.Info[Context, object]
"""What a resolver is told."""
