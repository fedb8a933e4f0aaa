"""What the resolvers of one request, or of one WebSocket connection, work with."""

import dataclasses
from collections.abc import Mapping

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
    is_introspection_open: bool = True
    connection_params: Mapping[str, object] | None = None
    """What a WebSocket client sent first."""


Info = strawberry.Info[Context, object]
"""What a resolver is told."""
