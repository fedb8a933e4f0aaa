"""Environments: their deployer, and what runs in them now."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from domain import events, values
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


def _deployer_configured(event: events.EnvironmentDeployerConfigured) -> Row:
    return {
        "deployer": event.deployer,
        "deployer_settings": event.settings,
        "deployer_secret_names": list(event.secret_names),
    }


def _deployment_started(event: events.EnvironmentDeploymentStarted) -> Row:
    return {"running_deployment_id": event.deployment_id, "deployments": event.number}


def _deployment_ended(event: events.EnvironmentDeploymentEnded) -> Row:
    ended = {"running_deployment_id": None}
    if event.status is values.DeploymentStatus.SUCCEEDED and event.revision is not None:
        return {**ended, "running_revision": event.revision}
    return ended


def _deleted(_event: events.EnvironmentDeleted) -> Row:
    return {"is_deleted": True}


def _nothing(_event: events.Event) -> Row:
    return {}  # a prefix is shown with the service instance that holds it


_CHANGES: Mapping[type[events.Event], Callable[[Any], Row]] = {
    events.EnvironmentCreated: _created,
    events.EnvironmentPrefixTaken: _nothing,
    events.EnvironmentPrefixFreed: _nothing,
    events.EnvironmentDeployerConfigured: _deployer_configured,
    events.EnvironmentDeploymentStarted: _deployment_started,
    events.EnvironmentDeploymentEnded: _deployment_ended,
    events.EnvironmentDeleted: _deleted,
}


class Environments:
    """A row per environment, also once it is deleted: its history stays."""

    version: ClassVar[int] = 2
    folds: ClassVar[EventClasses] = frozenset(_CHANGES)
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

    def keys(self, recorded: Foldable) -> Sequence[Key]:
        """Return the environment whose event it is."""
        event = recorded.event
        return [(event.originator_id,)] if type(event) in _CHANGES else []

    def fold(self, row: Row | None, recorded: Foldable, key: Key) -> Row | None:
        """Return the environment after the event."""
        event = recorded.event
        changes = _CHANGES.get(type(event))
        if changes is None or holds(row, recorded):
            return row
        at = recorded.recorded_at
        return {
            **(row or {"id": key[0], "created_at": at}),
            **changes(event),
            "updated_at": at,
            "version": event.originator_version,
            "position": recorded.position,
        }
