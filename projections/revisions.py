"""The variables of every configuration that ever ran: names and secret versions, no values."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from domain import events, values
from projections.projection import Column, EventClasses, Foldable, Key, Row, Table, holds


class Revisions:
    """A row per successful deployment; it never changes."""

    version: ClassVar[int] = 1
    folds: ClassVar[EventClasses] = frozenset({events.EnvironmentDeploymentEnded})
    table: ClassVar[Table] = Table(
        name="revisions",
        columns=(
            Column("environment_id", "uuid"),
            Column("number", "int4"),
            Column("deployment_id", "uuid"),
            Column("variables", "jsonb"),
            Column("deployed_at", "timestamptz"),
            Column("position", "int8"),
        ),
        primary_key=("environment_id", "number"),
    )

    def keys(self, recorded: Foldable) -> Sequence[Key]:
        """Return the revision that runs from now on, if the deployment brought one."""
        event = recorded.event
        if (
            isinstance(event, events.EnvironmentDeploymentEnded)
            and event.status is values.DeploymentStatus.SUCCEEDED
            and event.revision is not None
        ):
            return [(event.originator_id, event.revision)]
        return []

    def fold(self, row: Row | None, recorded: Foldable, key: Key) -> Row | None:
        """Return the revision."""
        event = recorded.event
        if holds(row, recorded) or not isinstance(event, events.EnvironmentDeploymentEnded):
            return row
        environment_id, number = key
        return {
            "environment_id": environment_id,
            "number": number,
            "deployment_id": event.deployment_id,
            "variables": list(msgspec.to_builtins(event.variables or ())),
            "deployed_at": recorded.recorded_at,
            "position": recorded.position,
        }
