"""The log, event by event."""

import strawberry

from app.graphql import identifiers, source
from app.graphql.compiler import nodes
from app.graphql.types.nodes import Node
from app.graphql.types.scalars import JSON, DateTime, Position


@source.rows(schema="ledger", table="events")
@strawberry.type(description="An event: something that happened, who caused it, and why.")
class AuditEvent:
    """An event."""

    position: Position = source.column("position", description="Its place in the log.")
    id: strawberry.ID = source.column("event_id", description="The id of the event.")
    event: str = source.column("topic", description="The name of the event.")
    subject: Node | None = source.field(
        nodes.Whichever(column="originator_id", type_names=tuple(identifiers.TYPES.values())),
        description="The project, environment, instance or deployment that it is about.",
    )
    actor: str = source.sql("({here}.metadata ->> 'actor')", description="Who or what caused it.")
    reason: str | None = source.sql(
        "({here}.metadata ->> 'reason')", description="Why, if somebody said so."
    )
    recorded_at: DateTime = source.column("recorded_at", description="When it was recorded.")
    command_id: strawberry.ID = source.column(
        "command_id", description="The command that it is part of."
    )
    correlation_id: strawberry.ID = source.sql(
        "({here}.metadata ->> 'correlation_id')",
        description="The same for everything that one command led to.",
    )
    causation_id: strawberry.ID | None = source.sql(
        "({here}.metadata ->> 'causation_id')",
        description="The event or command that led to it, if there is one.",
    )
    details: JSON = source.sql(
        "({here}.state::jsonb - 'timestamp' - 'originator_topic')",
        description="What else the event tells. There are no secrets in it.",
    )
