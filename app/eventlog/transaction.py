"""The one transaction of an append: two round trips, however many commands it takes.

The head row is locked first, so that whatever is read after it cannot change before the
commit: a conflict is found by looking, and fails one command without undoing the others.
What is stored goes out as one statement. BEGIN and COMMIT travel with what they surround.
"""

import dataclasses
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import msgspec
import psycopg

from app.eventlog import command as commands
from app.eventlog import connections, draft, mapper, projecting, tables, task
from domain import events
from projections import projection

_LOCK_HEAD = "SELECT position, recorded_at FROM ledger.head FOR UPDATE"
# What is known of the commands and of the aggregates, as rows of one shape.
_KNOWN = """
    SELECT clock_timestamp(), NULL::uuid, NULL::bigint, NULL::text, NULL::bigint, NULL::bigint,
        NULL::timestamptz
    UNION ALL
    SELECT NULL, command_id, NULL, fingerprint, first_position, last_position, recorded_at
    FROM ledger.commands WHERE command_id = ANY(%s)
    UNION ALL
    SELECT NULL, wanted.id, latest.originator_version, NULL, NULL, NULL, NULL
    FROM unnest(%s::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT originator_version FROM ledger.events WHERE originator_id = wanted.id
        ORDER BY originator_version DESC LIMIT 1
    ) AS latest
"""
_INSERT_EVENTS = """
    INSERT INTO ledger.events (position, originator_id, originator_version, topic, state,
        event_id, command_id, metadata, recorded_at)
    SELECT position, originator_id, originator_version, topic, state,
        event_id, command_id, metadata, recorded_at
    FROM json_populate_recordset(NULL::ledger.events, %s::json)
"""
_INSERT_COMMANDS = """
    INSERT INTO ledger.commands (command_id, fingerprint, first_position, last_position,
        recorded_at)
    SELECT command_id, fingerprint, first_position, last_position, recorded_at
    FROM json_populate_recordset(NULL::ledger.commands, %s::json)
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
        nobody = self.command.id
        return [
            draft.as_recorded(self.command, event, event_id=nobody, position=0, at=event.timestamp)
            for event in self.events
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
    async with connection.pipeline() as pipeline:
        await connection.execute("BEGIN")
        seen = await _look(connection, pipeline, rules.models, requests)
        drafted = draft.Draft(
            seen=seen, models=rules.models, policies=rules.policies, event_mapper=rules.mapper
        )
        outcomes = [_outcome(drafted, request) for request in requests]
        await _store(connection, rules.models, drafted)
        await connection.execute("COMMIT")
    return outcomes


def _outcome(drafted: draft.Draft, request: Request) -> commands.Receipt | Exception:
    try:
        return drafted.accept(command=request.command, new_events=request.events)
    except Exception as error:  # noqa: BLE001  a fold may raise anything; it fails this command alone
        return error


async def _look(
    connection: connections.Connection,
    pipeline: psycopg.AsyncPipeline,
    models: projecting.ReadModels,
    requests: Sequence[Request],
) -> draft.Seen:
    keys = models.keys(event for request in requests for event in request.provisional())
    command_ids = [request.command.id for request in requests]
    aggregate_ids = list({e.originator_id for request in requests for e in request.events})
    head = await connection.execute(_LOCK_HEAD)
    known = await connection.execute(_KNOWN, [command_ids, aggregate_ids])
    rows = await projecting.ask(connection, models, keys)
    # Between two syncs the server does not see that a session is idle, and waits for it for ever.
    await pipeline.sync()
    [(position, recorded_at)] = await head.fetchall()
    found = await known.fetchall()
    [now] = [row[0] for row in found if row[0] is not None]
    return draft.Seen(
        position=position,
        recorded_at=recorded_at.astimezone(UTC),
        now=now.astimezone(UTC),
        commands={row[1]: recorded_command(row[3:]) for row in found if row[3] is not None},
        versions={row[1]: row[2] for row in found if row[2] is not None},
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
    writes: list[tuple[str, Sequence[object]]] = []
    if drafted.commands:
        writes.append((_INSERT_COMMANDS, [_command_rows(drafted)]))
    if drafted.events:
        writes.append((_INSERT_EVENTS, [tables.row_json(drafted.events)]))
        writes.append((_MOVE_HEAD, [drafted.position, drafted.recorded_at]))
    writes += projecting.writes(models, drafted.folding.changes())
    if writes:
        parts = [f"w{number} AS ({text})" for number, (text, _) in enumerate(writes)]
        values = [value for _, some in writes for value in some]
        await connection.execute(f"WITH {', '.join(parts)} SELECT 1", values)
    if drafted.tasks:
        await connection.execute(_ENQUEUE, [task.QUEUE, *_task_columns(drafted.tasks)])


def _command_rows(drafted: draft.Draft) -> str:
    return tables.row_json(
        [
            {
                "command_id": command_id,
                "fingerprint": recorded.fingerprint,
                "first_position": recorded.receipt.first_position,
                "last_position": recorded.receipt.last_position,
                "recorded_at": recorded.receipt.recorded_at,
            }
            for command_id, recorded in drafted.commands.items()
        ]
    )


def _task_columns(tasks: Sequence[task.Task]) -> list[list[object]]:
    return [
        [follow_up.name for follow_up in tasks],
        [msgspec.json.encode(follow_up.args).decode() for follow_up in tasks],
        [follow_up.run_at for follow_up in tasks],
    ]
