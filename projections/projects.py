"""Projects by name."""

from collections.abc import Sequence
from typing import ClassVar, get_args

from domain import events
from projections.projection import (
    Column,
    EventClasses,
    Foldable,
    Index,
    Key,
    Row,
    Table,
    holds,
)

_ProjectEvent = (
    events.ProjectCreated
    | events.MemberAdded
    | events.MemberRemoved
    | events.SubscriptionChanged
    | events.EnvironmentListed
    | events.EnvironmentUnlisted
    | events.UnitTaken
    | events.UnitReturned
)


class Projects:
    """A row per project; every event of a project raises its version."""

    version: ClassVar[int] = 1
    folds: ClassVar[EventClasses] = frozenset(get_args(_ProjectEvent))
    table: ClassVar[Table] = Table(
        name="projects",
        columns=(
            Column("id", "uuid"),
            Column("name", "text"),
            Column("created_at", "timestamptz"),
            Column("updated_at", "timestamptz"),
            Column("version", "int4"),
            Column("position", "int8"),
        ),
        primary_key=("id",),
        indexes=(Index(("created_at", "id")),),
    )

    def keys(self, recorded: Foldable) -> Sequence[Key]:
        """Return the project whose event it is."""
        event = recorded.event
        return [(event.originator_id,)] if isinstance(event, _ProjectEvent) else []

    def fold(self, row: Row | None, recorded: Foldable, key: Key) -> Row | None:
        """Return the project after the event."""
        event = recorded.event
        if holds(row, recorded) or not isinstance(event, _ProjectEvent):
            return row
        first = {"id": key[0], "created_at": recorded.recorded_at}
        return {
            **(row or first),
            **({"name": event.name} if isinstance(event, events.ProjectCreated) else {}),
            "updated_at": recorded.recorded_at,
            "version": event.originator_version,
            "position": recorded.position,
        }
