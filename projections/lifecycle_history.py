"""What happened to each service instance: a row per event, in words."""

from typing import ClassVar

from domain import events
from projections import sentences
from projections.projection import Column, Foldable, Projection, Row, Table

_ON_EVERY_EVENT = ("originator_id", "originator_topic", "originator_version", "timestamp")


class LifecycleHistory:
    """A row per event of a service instance; it never changes and outlives the instance."""

    version: ClassVar[int] = 4
    table: ClassVar[Table] = Table(
        name="lifecycle_history",
        columns=(
            Column("service_instance_id", "uuid"),
            Column("version", "int4"),
            Column("position", "int8"),
            Column("event", "text"),
            Column("state", "text"),
            Column("sentence", "text"),
            Column("actor", "text"),
            Column("reason", "text", is_nullable=True),
            Column("recorded_at", "timestamptz"),
            Column("deployment_id", "uuid", is_nullable=True),
            Column("details", "jsonb"),
            Column("correlation_id", "uuid"),
        ),
        primary_key=("service_instance_id", "version"),
    )

    def __init__(self, *, follows: Projection) -> None:
        self.follows = follows

    def entry(self, before: Row | None, after: Row, recorded: Foldable) -> Row:
        """Return the row that tells of the event."""
        event = recorded.event
        if not events.is_service_event(event):
            raise TypeError(f"{event.TOPIC} is no event of a service instance")
        own = vars(event).copy()
        for name in _ON_EVERY_EVENT:
            own.pop(name, None)
        return {
            "service_instance_id": event.originator_id,
            "version": event.originator_version,
            "position": recorded.position,
            "event": event.TOPIC,
            "state": after["state"],
            "sentence": sentences.sentence(
                event=event, before={} if before is None else before, after=after
            ),
            "actor": recorded.actor,
            "reason": own.get("reason", recorded.reason),
            "recorded_at": recorded.recorded_at,
            "deployment_id": own.get("deployment_id"),
            "details": own,
            "correlation_id": recorded.correlation_id,
        }
