"""Environments: their deployer, and what runs in them now."""

from collections.abc import Sequence
from typing import ClassVar, get_args

from domain import events, values
from projections.projection import (
    Column,
    EventClasses,
    Index,
    Key,
    RecordedEvent,
    Row,
    Table,
    holds,
)

_EnvironmentEvent = (
    events.EnvironmentCreated
    | events.EnvironmentPrefixTaken
    | events.EnvironmentPrefixFreed
    | events.EnvironmentDeployerConfigured
    | events.EnvironmentDeploymentStarted
    | events.EnvironmentDeploymentEnded
    | events.EnvironmentDeleted
)


class Environments:
    """A row per environment, also once it is deleted: its history stays."""

    version: ClassVar[int] = 2
    folds: ClassVar[EventClasses] = frozenset(get_args(_EnvironmentEvent))
    table: ClassVar[Table] = Table(
        name="environments",
        columns=(
            Column("id", "uuid"),
            Column("project_id", "uuid"),
            Column("name", "text"),
            Column("protected", "bool"),
            Column("deployer", "text"),
            Column("deployer_settings", "jsonb"),
            Column("deployer_secret_names", "text[]"),
            Column("running_revision", "int4", is_nullable=True),
            Column("running_deployment_id", "uuid", is_nullable=True),
            Column("deployments", "int4"),
            Column("is_deleted", "bool"),
            Column("created_at", "timestamptz"),
            Column("updated_at", "timestamptz"),
            Column("version", "int4"),
            Column("position", "int8"),
        ),
        primary_key=("id",),
        indexes=(
            Index(("project_id", "created_at", "id")),
            Index(("project_id", "name"), where="NOT is_deleted"),
        ),
    )

    def keys(self, recorded: RecordedEvent) -> Sequence[Key]:
        """Return the environment whose event it is."""
        event = recorded.event
        return [(event.originator_id,)] if isinstance(event, _EnvironmentEvent) else []

    def fold(self, row: Row | None, recorded: RecordedEvent, key: Key) -> Row | None:
        """Return the environment after the event."""
        event = recorded.event
        if holds(row, recorded) or not isinstance(event, _EnvironmentEvent):
            return row
        first = {"id": key[0], "created_at": recorded.recorded_at}
        return {
            **(row or first),
            **_changes(event),
            "updated_at": recorded.recorded_at,
            "version": event.originator_version,
            "position": recorded.position,
        }


def _changes(event: _EnvironmentEvent) -> Row:
    match event:
        case events.EnvironmentCreated():
            return _created(event)
        case events.EnvironmentPrefixTaken() | events.EnvironmentPrefixFreed():
            return {}  # a prefix is shown with the service instance that holds it
        case events.EnvironmentDeployerConfigured():
            return {
                "deployer": event.deployer,
                "deployer_settings": event.settings,
                "deployer_secret_names": list(event.secret_names),
            }
        case events.EnvironmentDeploymentStarted():
            return {"running_deployment_id": event.deployment_id, "deployments": event.number}
        case events.EnvironmentDeploymentEnded():
            return _ended(event)
        case events.EnvironmentDeleted():
            return {"is_deleted": True}


def _created(event: events.EnvironmentCreated) -> Row:
    return {
        "project_id": event.project_id,
        "name": event.name,
        "protected": event.protected,
        "deployer": "env_file",
        "deployer_settings": {},
        "deployer_secret_names": [],
        "running_revision": None,
        "running_deployment_id": None,
        "deployments": 0,
        "is_deleted": False,
    }


def _ended(event: events.EnvironmentDeploymentEnded) -> Row:
    ended = {"running_deployment_id": None}
    if event.status is values.DeploymentStatus.SUCCEEDED and event.revision is not None:
        return {**ended, "running_revision": event.revision}
    return ended
