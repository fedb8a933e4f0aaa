"""Who may do what in a project."""

from collections.abc import Sequence
from typing import ClassVar

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


class Members:
    """A row per project and person; none for a person who left."""

    version: ClassVar[int] = 1
    folds: ClassVar[EventClasses] = frozenset({events.MemberAdded, events.MemberRemoved})
    table: ClassVar[Table] = Table(
        name="members",
        columns=(
            Column("project_id", "uuid"),
            Column("subject", "text"),
            Column("role", "text"),
            Column("added_at", "timestamptz"),
            Column("position", "int8"),
        ),
        primary_key=("project_id", "subject"),
        indexes=(Index(("subject", "project_id")),),
    )

    def keys(self, recorded: Foldable) -> Sequence[Key]:
        """Return the person whose role it is."""
        match recorded.event:
            case events.MemberAdded() | events.MemberRemoved() as event:
                return [(event.originator_id, event.subject)]
            case _:
                return []

    def fold(self, row: Row | None, recorded: Foldable, key: Key) -> Row | None:
        """Return the member after the event; None for one who left."""
        if holds(row, recorded):
            return row
        match recorded.event:
            case events.MemberAdded(role=role):
                project_id, subject = key
                return {
                    "project_id": project_id,
                    "subject": subject,
                    "role": role.value,
                    "added_at": row["added_at"] if row else recorded.recorded_at,
                    "position": recorded.position,
                }
            case events.MemberRemoved():
                return None
            case _:
                return row
