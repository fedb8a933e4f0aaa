"""Deployments: plan, step, outcome."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

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

_SERVICES = str(values.DeploymentStep.SERVICES)
_SWITCH = str(values.DeploymentStep.SWITCH)
_AFTER = str(values.DeploymentStep.AFTER)
_RUNNING = str(values.DeploymentStatus.RUNNING)
_SUCCEEDED = str(values.DeploymentStatus.SUCCEEDED)
_FAILED = str(values.DeploymentStatus.FAILED)
_CANCELLED = str(values.DeploymentStatus.CANCELLED)


def _started(_row: Row, event: events.DeploymentStarted, at: datetime) -> Row:
    return {
        "project_id": event.project_id,
        "environment_id": event.environment_id,
        "environment_name": event.environment_name,
        "number": event.number,
        "status": _RUNNING,
        "step": _SERVICES,
        "steps": [_step(_SERVICES, _text(at))],
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


def _step_started(row: Row, event: events.DeploymentStepStarted, at: datetime) -> Row:
    step = str(event.step)
    return {"step": step, "steps": _stepped(row, step, _text(at))}


def _delayed(_row: Row, event: events.DeploymentReleaseDelayed, _at: datetime) -> Row:
    return {
        "attempt": event.attempt,
        "next_attempt_at": event.next_attempt_at,
        "delay_message": event.message,
    }


def _reported(_row: Row, event: events.DeploymentReleaseReported, _at: datetime) -> Row:
    return {"output": event.output}


def _succeeded(row: Row, event: events.DeploymentSucceeded, at: datetime) -> Row:
    now = _text(at)
    return {
        **_ended(at),
        "status": _SUCCEEDED,
        "step": _AFTER,
        "steps": [*_closed(row["steps"], now), _step(_SWITCH, now, ended_at=now)],
        "revision": event.revision,
    }


def _failed(row: Row, event: events.DeploymentFailed, at: datetime) -> Row:
    return {
        **_ended(at),
        "status": _FAILED,
        "step": str(event.step),
        "steps": _closed(row["steps"], _text(at)),
        "error_step": str(event.step),
        "error_code": event.code,
        "error_message": event.message,
    }


def _cancelled(row: Row, event: events.DeploymentCancelled, at: datetime) -> Row:
    return {
        **_ended(at),
        "status": _CANCELLED,
        "step": str(event.step),
        "steps": _closed(row["steps"], _text(at)),
    }


def _nothing(_row: Row, _event: events.Event, _at: datetime) -> Row:
    return {}  # a revision counts once it runs


def _ended(at: datetime) -> Row:
    return {"ended_at": at, "next_attempt_at": None}


def _stepped(row: Row, step: str, now: str) -> Sequence[Row]:
    """Return the steps with one more, which ends the one before."""
    return [*_closed(row["steps"], now), _step(step, now)]


def _closed(steps: Sequence[Row], now: str) -> Sequence[Row]:
    return [step if step["ended_at"] else {**step, "ended_at": now} for step in steps]


def _step(step: str, now: str, *, ended_at: str | None = None) -> Row:
    return {"step": step, "started_at": now, "ended_at": ended_at}


def _text(at: datetime) -> str:
    """Return a time as the API writes it; strftime took most of a fold's time."""
    text: str = msgspec.to_builtins(at.astimezone(UTC))
    return text if at.microsecond else f"{text[:-1]}.000000Z"


_CHANGES: Mapping[type[events.Event], Callable[[Row, Any, datetime], Row]] = {
    events.DeploymentStarted: _started,
    events.DeploymentStepStarted: _step_started,
    events.DeploymentConfigured: _nothing,
    events.DeploymentVariablesFetched: _nothing,
    events.DeploymentReleaseDelayed: _delayed,
    events.DeploymentReleaseReported: _reported,
    events.DeploymentSucceeded: _succeeded,
    events.DeploymentFailed: _failed,
    events.DeploymentCancelled: _cancelled,
}


class Deployments:
    """A row per deployment; `revision` is what it brought about, so only success has one."""

    version: ClassVar[int] = 2
    folds: ClassVar[EventClasses] = frozenset(_CHANGES)
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

    def keys(self, recorded: Foldable) -> Sequence[Key]:
        """Return the deployment whose event it is."""
        event = recorded.event
        return [(event.originator_id,)] if type(event) in _CHANGES else []

    def fold(self, row: Row | None, recorded: Foldable, key: Key) -> Row | None:
        """Return the deployment after the event."""
        event = recorded.event
        changes = _CHANGES.get(type(event))
        if changes is None or holds(row, recorded):
            return row
        at = recorded.recorded_at
        return {
            **(row or {"id": key[0], "started_at": at}),
            **changes(row or {}, event, at),
            "updated_at": at,
            "version": event.originator_version,
            "position": recorded.position,
        }
