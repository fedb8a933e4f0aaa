"""The units of each offering that a project has and uses."""

from collections.abc import Sequence
from typing import ClassVar

from domain import events
from projections.projection import Column, EventClasses, Foldable, Key, Row, Table, holds


class Subscriptions:
    """A row per project and offering; `units` holds what environments brought along."""

    version: ClassVar[int] = 1
    folds: ClassVar[EventClasses] = frozenset(
        {
            events.SubscriptionChanged,
            events.EnvironmentListed,
            events.EnvironmentUnlisted,
            events.UnitTaken,
            events.UnitReturned,
        }
    )
    table: ClassVar[Table] = Table(
        name="subscriptions",
        columns=(
            Column("project_id", "uuid"),
            Column("offering", "text"),
            Column("units", "int4"),
            Column("used", "int4"),
            Column("position", "int8"),
        ),
        primary_key=("project_id", "offering"),
    )

    def keys(self, recorded: Foldable) -> Sequence[Key]:
        """Return the project with each offering of which units change."""
        event = recorded.event
        return [(event.originator_id, offering) for offering in _offerings(event)]

    def fold(self, row: Row | None, recorded: Foldable, key: Key) -> Row | None:
        """Return the line of the subscription after the event."""
        if holds(row, recorded):
            return row
        project_id, offering = key
        units, used = (row["units"], row["used"]) if row else (0, 0)
        match recorded.event:
            case events.SubscriptionChanged(units=changed):
                units = changed
            case events.EnvironmentListed():
                units += 1
            case events.EnvironmentUnlisted():
                units = max(units - 1, 0)
            case events.UnitTaken():
                used += 1
            case events.UnitReturned():
                used -= 1
            case _:
                return row
        return {
            "project_id": project_id,
            "offering": offering,
            "units": units,
            "used": used,
            "position": recorded.position,
        }


def _offerings(event: events.Event) -> Sequence[str]:
    match event:
        case events.SubscriptionChanged() | events.UnitTaken() | events.UnitReturned():
            return [event.offering]
        case events.EnvironmentListed():
            return event.granted
        case events.EnvironmentUnlisted():
            return event.withdrawn
        case _:
            return []
