"""The one transaction of an append: two round trips, however many commands it takes.

The head row is locked first, so that whatever is read after it cannot change before the
commit: a conflict is found by looking, and fails one command without undoing the others.
"""

import dataclasses
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import msgspec

from app.eventlog import command as commands
from app.eventlog import connections, draft, mapper, projecting, task
from domain import events
from projections import projection

_LOCK_HEAD = "SELECT position, recorded_at FROM ledger.head FOR UPDATE"
_NOW = "SELECT clock_timestamp()"
_COMMANDS = (
    "SELECT command_id, fingerprint, first_position, last_position, recorded_at "
    "FROM ledger.commands WHERE command_id = ANY(%s)"
)
_VERSIONS = """
    SELECT wanted.id, latest.originator_version
    FROM unnest(%s::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT originator_version FROM ledger.events WHERE originator_id = wanted.id
        ORDER BY originator_version DESC LIMIT 1
    ) AS latest
"""
_INSERT_EVENTS = """
    INSERT INTO ledger.events (position, originator_id, originator_version, topic, state,
        event_id, command_id, metadata, recorded_at)
    SELECT position, originator_id, originator_version, topic, state::json,
        event_id, command_id, metadata::jsonb, recorded_at
    FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::text[], %s::text[],
        %s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[])
    AS e (position, originator_id, originator_version, topic, state,
        event_id, command_id, metadata, recorded_at)
"""
_INSERT_COMMANDS = """
    INSERT INTO ledger.commands (command_id, fingerprint, first_position, last_position,
        recorded_at)
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[])
"""
_MOVE_HEAD = "UPDATE ledger.head SET position = %s, recorded_at = %s"
_ENQUEUE = """
    SELECT public.procrastinate_defer_jobs_v1(array_agg(ROW(
        %s, name, 0, NULL, NULL, args::jsonb, run_at)::public.procrastinate_job_to_defer_v1))
    FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS t (name, args, run_at)
"""


@dataclasses.dataclass(frozen=True)
class Request:
    """A command and its events, on their way into the log."""

    command: commands.Command
    events: tuple[events.Event, ...]

    def provisional(self) -> list[projection.RecordedEvent]:
        """Return the events before they have a place: enough to tell which rows they concern."""
        return [
            draft.as_recorded(self.command, event, index=index, position=0, at=event.timestamp)
            for index, event in enumerate(self.events)
        ]


@dataclasses.dataclass(frozen=True)
class Rules:
    """What follows from events: rows, entries and tasks."""

    models: projecting.ReadModels
    policies: draft.Policies
    mapper: mapper.EventMapper


async def write(
    connection: connections.Connection, *, rules: Rules, requests: Sequence[Request]
) -> list[commands.Receipt | Exception]:
    """Record the commands and return an outcome for each, in one transaction.

    Raises what the database raises: then nothing is recorded, or, if the connection was
    lost, perhaps everything.
    """
    async with connection.pipeline() as pipeline, connection.transaction():
        seen = await _look(connection, rules.models, requests)
        drafted = draft.Draft(
            seen=seen, models=rules.models, policies=rules.policies, event_mapper=rules.mapper
        )
        outcomes = [_outcome(drafted, request) for request in requests]
        await _store(connection, rules.models, drafted)
        # Errors are raised here, by the statement at fault; the commit is still to come.
        await pipeline.sync()
    return outcomes


def _outcome(drafted: draft.Draft, request: Request) -> commands.Receipt | Exception:
    try:
        return drafted.accept(command=request.command, new_events=request.events)
    except Exception as error:  # noqa: BLE001  a fold may raise anything; it fails this command alone
        return error


async def _look(
    connection: connections.Connection,
    models: projecting.ReadModels,
    requests: Sequence[Request],
) -> draft.Seen:
    keys = models.keys(event for request in requests for event in request.provisional())
    command_ids = [request.command.id for request in requests]
    aggregate_ids = list({e.originator_id for request in requests for e in request.events})
    head = await connection.execute(_LOCK_HEAD)
    clock = await connection.execute(_NOW)
    known = await connection.execute(_COMMANDS, [command_ids])
    latest = await connection.execute(_VERSIONS, [aggregate_ids])
    rows = await projecting.ask(connection, models, keys)
    [(position, recorded_at)] = await head.fetchall()
    [(now,)] = await clock.fetchall()
    return draft.Seen(
        position=position,
        recorded_at=recorded_at.astimezone(UTC),
        now=now.astimezone(UTC),
        commands={row[0]: recorded_command(row[1:]) for row in await known.fetchall()},
        versions=dict(await latest.fetchall()),
        rows=await projecting.answers(models, keys, rows),
    )


def recorded_command(row: tuple[Any, ...]) -> commands.RecordedCommand:
    """Return the command of a row: fingerprint, positions, time."""
    fingerprint, first_position, last_position, recorded_at = row
    receipt = commands.Receipt(
        first_position, last_position, recorded_at.astimezone(UTC), is_repeat=True
    )
    return commands.RecordedCommand(fingerprint, receipt)


async def _store(
    connection: connections.Connection, models: projecting.ReadModels, drafted: draft.Draft
) -> None:
    if drafted.commands:
        await connection.execute(_INSERT_COMMANDS, _command_columns(drafted))
    if drafted.events:
        await connection.execute(_INSERT_EVENTS, _event_columns(drafted.events))
        await connection.execute(_MOVE_HEAD, [drafted.position, drafted.recorded_at])
    await projecting.write(connection, models, drafted.folding.changes())
    if drafted.tasks:
        await connection.execute(_ENQUEUE, [task.QUEUE, *_task_columns(drafted.tasks)])


def _command_columns(drafted: draft.Draft) -> list[list[object]]:
    receipts = [recorded.receipt for recorded in drafted.commands.values()]
    return [
        list(drafted.commands),
        [recorded.fingerprint for recorded in drafted.commands.values()],
        [receipt.first_position for receipt in receipts],
        [receipt.last_position for receipt in receipts],
        [receipt.recorded_at for receipt in receipts],
    ]


def _event_columns(stored: Sequence[draft.StoredEvent]) -> list[list[object]]:
    return [
        [event.position for event in stored],
        [event.originator_id for event in stored],
        [event.originator_version for event in stored],
        [event.topic for event in stored],
        [event.state for event in stored],
        [event.event_id for event in stored],
        [event.command_id for event in stored],
        [msgspec.json.encode(event.metadata).decode() for event in stored],
        [event.recorded_at for event in stored],
    ]


def _task_columns(tasks: Sequence[task.Task]) -> list[list[object]]:
    return [
        [follow_up.name for follow_up in tasks],
        [msgspec.json.encode(follow_up.args).decode() for follow_up in tasks],
        [follow_up.run_at for follow_up in tasks],
    ]
