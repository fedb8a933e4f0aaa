"""The log, event by event."""

from typing import Annotated, LiteralString

import strawberry

from app.graphql import identifiers, source
from app.graphql.compiler import nodes, sources
from app.graphql.types import orders
from app.graphql.types.nodes import Connection, Node
from app.graphql.types.scalars import JSON, DateTime, Position

# What follows from an event belongs to the same command: that one index finds all of it.
_CORRELATED: LiteralString = (
    "({there}.metadata ->> 'correlation_id')::uuid = ({here}.metadata ->> 'correlation_id')::uuid"
)


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
        "coalesce({here}.metadata ->> 'reason', {here}.state ->> 'reason')",
        description="Why, if somebody said so; `erased` if that person is.",
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
    cause: Annotated["AuditEvent", strawberry.lazy(__name__)] | None = source.field(
        sources.One(
            f"{_CORRELATED} AND {{there}}.event_id = ({{here}}.metadata ->> 'causation_id')::uuid",
            is_outside=True,
        ),
        description="The event that led to it; null if a person or another program did.",
    )
    consequences: Connection[Annotated["AuditEvent", strawberry.lazy(__name__)]] = (
        source.connection(
            f"{_CORRELATED} AND {{there}}.metadata ->> 'causation_id' = {{here}}.event_id::text",
            orders=orders.EVENTS,
            is_outside=True,
            is_two_way=False,
            description="What followed from it at once, oldest first; each with its own"
            " consequences.",
        )
    )
    correlated: Connection[Annotated["AuditEvent", strawberry.lazy(__name__)]] = source.connection(
        _CORRELATED,
        orders=orders.EVENTS,
        is_outside=True,
        is_two_way=False,
        description="Everything that one command led to, this event included, oldest first.",
    )
    details: JSON = source.sql(
        "({here}.state::jsonb - 'timestamp' - 'originator_topic')",
        description="What else the event tells. There are no secrets in it.",
    )


@source.rows(schema="ledger", table="events")
@strawberry.type(description="How far a reader of the log has come, with the event there.")
class AuditProgress:
    """How far a reader of the log has come."""

    position: Position = source.column(
        "position", description="Everything up to here was told: go on from it."
    )
    event: AuditEvent | None = source.embedded(
        description="The event at the position; null if there was none to tell of for a while."
    )
