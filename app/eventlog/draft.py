"""Which commands of a batch are accepted, and what they come to; no database here."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from app import uuids
from app.eventlog import command as commands
from app.eventlog import mapper, projecting, task
from domain import events
from projections import projection

Policies = Callable[[projection.RecordedEvent], Sequence[task.Task]]
"""Which tasks follow from an event."""

_TICK = timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the transaction found under the lock of the head, or knew."""

    position: int
    recorded_at: datetime
    now: datetime
    commands: Mapping[UUID, commands.RecordedCommand]
    versions: Mapping[UUID, int]
    rows: Mapping[str, projecting.Rows]
    mark: str
    """What tells a restored log, and read models that were put in the place of others."""

    @property
    def epoch(self) -> int:
        """The number of the log's epoch."""
        return int(self.mark.partition("/")[0])


class StoredEvent(NamedTuple):
    """A row of ledger.events."""

    position: int
    originator_id: UUID
    originator_version: int
    topic: str
    state: msgspec.Raw
    event_id: UUID
    command_id: UUID
    metadata: "Metadata"
    recorded_at: datetime


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the log keeps of the command with each of its events."""

    actor: str
    correlation_id: UUID
    causation_id: UUID | None = None
    reason: str | None = None
    traceparent: str | None = None
    token_id: str | None = None


class Draft:
    """Commands accepted one after the other; a refused one leaves no trace."""

    def __init__(
        self,
        *,
        seen: Seen,
        models: projecting.ReadModels,
        policies: Policies,
        event_mapper: mapper.EventMapper,
    ) -> None:
        self.position = seen.position
        self.recorded_at = seen.recorded_at
        self.commands: dict[UUID, commands.RecordedCommand] = {}
        self.events: list[StoredEvent] = []
        self.tasks: list[task.Task] = []
        self.versions: dict[UUID, int] = {}
        self.folding = projecting.Folding(models=models, rows=seen.rows)
        self._seen = seen
        self._epoch = seen.epoch
        self._policies = policies
        self._mapper = event_mapper

    def accept(
        self,
        *,
        command: commands.Command,
        new_events: Sequence[events.Event],
        assumed: commands.Assumed | None = None,
    ) -> commands.Receipt:
        """Return the receipt of the command, its first one if it is known.

        Raises CommandReusedError, VersionConflictError, and whatever a fold raises.
        """
        known = self._seen.commands.get(command.id) or self.commands.get(command.id)
        if known is not None:
            if known.fingerprint != command.fingerprint:
                raise commands.CommandReusedError(command_id=command.id)
            return msgspec.structs.replace(known.receipt, is_repeat=True)
        if assumed is not None:
            self._require(assumed)
        versions = self._next_versions(new_events)
        first, start = self.position + 1, max(self._seen.now, self.recorded_at + _TICK)
        recorded = [
            as_recorded(
                command,
                event,
                event_id=_event_id(command.id, index),
                position=first + index,
                at=start + index * _TICK,
            )
            for index, event in enumerate(new_events)
        ]
        staged = self.folding.fold(recorded)
        tasks = [follow_up for event in recorded for follow_up in self._policies(event)]
        metadata = _metadata(command)
        stored = [self._stored(event, metadata) for event in recorded]

        self.versions.update(versions)
        self.folding.keep(staged)
        self.tasks += tasks
        self.events += stored
        if recorded:
            self.position, self.recorded_at = recorded[-1].position, recorded[-1].recorded_at
        receipt = commands.Receipt(
            first_position=first,
            last_position=first + len(recorded) - 1,
            recorded_at=recorded[-1].recorded_at if recorded else start,
            is_repeat=False,
        )
        self.commands[command.id] = commands.RecordedCommand(command.fingerprint, receipt)
        return receipt

    def _require(self, assumed: commands.Assumed) -> None:
        for aggregate_id, version in assumed.versions.items():
            current = self._version(aggregate_id)
            if (assumed.epoch, version) != (self._epoch, current):
                raise commands.VersionConflictError(
                    aggregate_id=aggregate_id, current_version=current
                )

    def _version(self, aggregate_id: UUID) -> int:
        found = self.versions.get(aggregate_id)
        return self._seen.versions.get(aggregate_id, 0) if found is None else found

    def _next_versions(self, new_events: Sequence[events.Event]) -> dict[UUID, int]:
        """Return the versions after the events; a hole is refused like a conflict."""
        versions: dict[UUID, int] = {}
        for event in new_events:
            aggregate_id = event.originator_id
            current = self._version(aggregate_id)
            if event.originator_version != versions.get(aggregate_id, current) + 1:
                raise commands.VersionConflictError(
                    aggregate_id=aggregate_id, current_version=current
                )
            versions[aggregate_id] = event.originator_version
        return versions

    def _stored(self, recorded: projection.RecordedEvent, metadata: Metadata) -> StoredEvent:
        event = recorded.event
        return StoredEvent(  # by place: this is done for each event
            recorded.position,
            event.originator_id,
            event.originator_version,
            type(event).TOPIC,
            msgspec.Raw(self._mapper.state(event)),
            recorded.event_id,
            recorded.command_id,
            metadata,
            recorded.recorded_at,
        )


def as_recorded(
    command: commands.Command, event: events.Event, *, event_id: UUID, position: int, at: datetime
) -> projection.RecordedEvent:
    """Return the event as the log will know it."""
    return projection.RecordedEvent(  # by place: this is done for each event
        position,
        event,
        event_id,
        command.id,
        command.actor,
        command.correlation_id,
        command.causation_id,
        command.reason,
        at,
        command.traceparent,
    )


def _event_id(command_id: UUID, index: int) -> UUID:
    """Return uuid5(command_id, str(index)), at a third of its time: this is done for each event."""
    name = command_id.bytes + str(index).encode()
    digest = hashlib.sha1(name, usedforsecurity=False).digest()
    return uuids.of_bytes(digest[:16], version=5)


def _metadata(command: commands.Command) -> Metadata:
    return Metadata(
        command.actor,
        command.correlation_id,
        command.causation_id,
        command.reason,
        command.traceparent,
        command.token_id,
    )
