"""Deployments: plan, step, outcome."""

from collections.abc import Sequence
from typing import ClassVar

from domain import events, values
from projections.projection import Column, Index, Key, RecordedEvent, Row, Table, holds

_DeploymentEvent = (
    events.DeploymentStarted
    | events.DeploymentStepStarted
    | events.DeploymentConfigured
    | events.DeploymentSucceeded
    | events.DeploymentFailed
    | events.DeploymentCancelled
)


class Deployments:
    """A row per deployment; `revision` is what it brought about, so only success has one."""

    version: ClassVar[int] = 1
    table: ClassVar[Table] = Table(
        name="deployments",
        columns=(
            Column("id", "uuid"),
            Column("project_id", "uuid"),
            Column("environment_id", "uuid"),
            Column("environment_name", "text"),
            Column("number", "int4"),
            Column("status", "text"),
            Column("step", "text"),
            Column("error_step", "text", is_nullable=True),
            Column("error_code", "text", is_nullable=True),
            Column("error_message", "text", is_nullable=True),
            Column("plan", "jsonb"),
            Column("revision", "int4", is_nullable=True),
            Column("requested_by", "text"),
            Column("started_at", "timestamptz"),
            Column("ended_at", "timestamptz", is_nullable=True),
            Column("deadline", "timestamptz"),
            Column("updated_at", "timestamptz"),
            Column("version", "int4"),
            Column("position", "int8"),
        ),
        primary_key=("id",),
        indexes=(
            Index(("environment_id", "number")),
            Index(("project_id",)),
            Index(("deadline",), where="status = 'RUNNING'"),
        ),
    )

    def keys(self, recorded: RecordedEvent) -> Sequence[Key]:
        """Return the deployment whose event it is."""
        event = recorded.event
        return [(event.originator_id,)] if isinstance(event, _DeploymentEvent) else []

    def fold(self, row: Row | None, recorded: RecordedEvent, key: Key) -> Row | None:
        """Return the deployment after the event."""
        event = recorded.event
        if holds(row, recorded) or not isinstance(event, _DeploymentEvent):
            return row
        first = {"id": key[0], "started_at": recorded.recorded_at}
        return {
            **(row or first),
            **_changes(event, recorded),
            "updated_at": recorded.recorded_at,
            "version": event.originator_version,
            "position": recorded.position,
        }


def _changes(event: _DeploymentEvent, recorded: RecordedEvent) -> Row:
    match event:
        case events.DeploymentStarted():
            return _started(event)
        case events.DeploymentStepStarted():
            return {"step": event.step.value}
        case events.DeploymentConfigured():
            return {}  # a revision counts once it runs
        case events.DeploymentSucceeded():
            return {
                "status": values.DeploymentStatus.SUCCEEDED.value,
                "step": values.DeploymentStep.AFTER.value,
                "revision": event.revision,
                "ended_at": recorded.recorded_at,
            }
        case events.DeploymentFailed():
            return {
                "status": values.DeploymentStatus.FAILED.value,
                "step": event.step.value,
                "error_step": event.step.value,
                "error_code": event.code,
                "error_message": event.message,
                "ended_at": recorded.recorded_at,
            }
        case events.DeploymentCancelled():
            return {
                "status": values.DeploymentStatus.CANCELLED.value,
                "step": event.step.value,
                "ended_at": recorded.recorded_at,
            }


def _started(event: events.DeploymentStarted) -> Row:
    return {
        "project_id": event.project_id,
        "environment_id": event.environment_id,
        "environment_name": event.environment_name,
        "number": event.number,
        "status": values.DeploymentStatus.RUNNING.value,
        "step": values.DeploymentStep.SERVICES.value,
        "error_step": None,
        "error_code": None,
        "error_message": None,
        "plan": event.plan,
        "revision": None,
        "requested_by": event.requested_by,
        "ended_at": None,
        "deadline": event.deadline,
    }
