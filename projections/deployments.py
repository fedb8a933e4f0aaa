"""Deployments: plan, step, outcome."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, get_args

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

_DeploymentEvent = (
    events.DeploymentStarted
    | events.DeploymentStepStarted
    | events.DeploymentConfigured
    | events.DeploymentReleaseDelayed
    | events.DeploymentVariablesFetched
    | events.DeploymentReleaseReported
    | events.DeploymentSucceeded
    | events.DeploymentFailed
    | events.DeploymentCancelled
)


class Deployments:
    """A row per deployment; `revision` is what it brought about, so only success has one."""

    version: ClassVar[int] = 2
    folds: ClassVar[EventClasses] = frozenset(get_args(_DeploymentEvent))
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
            Column("steps", "jsonb"),
            Column("attempt", "int4"),
            Column("next_attempt_at", "timestamptz", is_nullable=True),
            Column("delay_message", "text", is_nullable=True),
            Column("output", "text", is_nullable=True),
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
            **_changes(row or {}, event, recorded),
            "updated_at": recorded.recorded_at,
            "version": event.originator_version,
            "position": recorded.position,
        }


def _changes(row: Row, event: _DeploymentEvent, recorded: RecordedEvent) -> Row:
    match event:
        case events.DeploymentStarted():
            return _started(event, recorded.recorded_at)
        case events.DeploymentStepStarted():
            step = event.step.value
            return {"step": step, "steps": _stepped(row, step, recorded.recorded_at)}
        case events.DeploymentConfigured() | events.DeploymentVariablesFetched():
            return {}  # a revision counts once it runs
        case events.DeploymentReleaseDelayed():
            return {
                "attempt": event.attempt,
                "next_attempt_at": event.next_attempt_at,
                "delay_message": event.message,
            }
        case events.DeploymentReleaseReported():
            return {"output": event.output}
        case (
            events.DeploymentSucceeded() | events.DeploymentFailed() | events.DeploymentCancelled()
        ):
            return _ended(row, event, recorded.recorded_at)


def _ended(
    row: Row,
    event: events.DeploymentSucceeded | events.DeploymentFailed | events.DeploymentCancelled,
    at: datetime,
) -> Row:
    common = {"ended_at": at, "next_attempt_at": None}
    match event:
        case events.DeploymentSucceeded():
            switched = _stepped(row, values.DeploymentStep.SWITCH.value, at)
            return common | {
                "status": values.DeploymentStatus.SUCCEEDED.value,
                "step": values.DeploymentStep.AFTER.value,
                "steps": _closed(switched, at),
                "revision": event.revision,
            }
        case events.DeploymentFailed():
            return common | {
                "status": values.DeploymentStatus.FAILED.value,
                "step": event.step.value,
                "steps": _closed(row["steps"], at),
                "error_step": event.step.value,
                "error_code": event.code,
                "error_message": event.message,
            }
        case events.DeploymentCancelled():
            return common | {
                "status": values.DeploymentStatus.CANCELLED.value,
                "step": event.step.value,
                "steps": _closed(row["steps"], at),
            }


def _stepped(row: Row, step: str, at: datetime) -> Sequence[Mapping[str, Any]]:
    """Return the steps with one more, which ends the one before."""
    return [*_closed(row["steps"], at), {"step": step, "started_at": _text(at), "ended_at": None}]


def _closed(steps: Sequence[Mapping[str, Any]], at: datetime) -> Sequence[Mapping[str, Any]]:
    return [{**step, "ended_at": step["ended_at"] or _text(at)} for step in steps]


def _text(at: datetime) -> str:
    """Return a time as the API writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _started(event: events.DeploymentStarted, at: datetime) -> Row:
    services = values.DeploymentStep.SERVICES.value
    return {
        "project_id": event.project_id,
        "environment_id": event.environment_id,
        "environment_name": event.environment_name,
        "number": event.number,
        "status": values.DeploymentStatus.RUNNING.value,
        "step": services,
        "steps": [{"step": services, "started_at": _text(at), "ended_at": None}],
        "attempt": 1,
        "next_attempt_at": None,
        "delay_message": None,
        "output": None,
        "error_step": None,
        "error_code": None,
        "error_message": None,
        "plan": event.plan,
        "revision": None,
        "requested_by": event.requested_by,
        "ended_at": None,
        "deadline": event.deadline,
    }
