"""What is different between two moments."""

import strawberry

from app.graphql import identifiers, source
from app.graphql.compiler import nodes
from app.graphql.types import orders
from app.graphql.types.audit import AuditEvent
from app.graphql.types.nodes import Connection, Node
from app.graphql.types.scalars import JSON, Position


@strawberry.type(description="A field that had another value before.")
class HistoryChange:
    """A field that had another value before."""

    subject: Node | None = source.field(
        nodes.Whichever(column="subject_id", type_names=tuple(identifiers.TYPES.values())),
        description="The environment or service instance whose field it is, as it is now.",
    )
    field: str = source.column(
        "field", description="The name of the field, such as `state` or `operation.status`."
    )
    before: JSON | None = source.column(
        "before", description="The earlier value; null if it had none, or was not there yet."
    )
    after: JSON | None = source.column("after", description="The later value.")


@strawberry.type(description="What is different between two moments, and what happened meanwhile.")
class HistoryDiff:
    """What is different between two moments."""

    since: Position = source.sql(
        "({here}.document ->> 'since')::int8", description="The earlier moment, as a position."
    )
    until: Position = source.sql(
        "({here}.document ->> 'until')::int8", description="The later moment, as a position."
    )
    changes: list[HistoryChange] = source.many(
        "true",
        rows="(SELECT given.* FROM ROWS FROM (jsonb_to_recordset({here}.document -> 'changes')"
        " AS (subject_id uuid, field text, before jsonb, after jsonb)) WITH ORDINALITY"
        " AS given(subject_id, field, before, after, place)) AS {there}",
        order="{there}.place",
        description="The fields that differ; of an environment, those of its service instances"
        " too.",
    )
    events: Connection[AuditEvent] = source.connection(
        "{there}.originator_id IN (SELECT subject.id::uuid FROM"
        " jsonb_array_elements_text({here}.document -> 'subjects') AS subject (id))"
        " AND {there}.position > ({here}.document ->> 'since')::int8"
        " AND {there}.position <= ({here}.document ->> 'until')::int8",
        orders=orders.EVENTS,
        is_two_way=False,
        description="What happened in between, oldest first: who did it, when and why.",
    )
