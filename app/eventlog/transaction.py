"""The one transaction of an append: a round trip for what is known, two for what is not.

The head row is locked first, so that whatever is read after it cannot change before the
commit: a conflict is found by looking, and fails one command without undoing the others.
What is stored goes out as one statement. BEGIN and COMMIT travel with what they surround.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from app.eventlog import (
    columns,
    connections,
    draft,
    mapper,
    projecting,
    statements,
    tables,
    task,
)
from app.eventlog import command as commands
from app.eventlog import memory as memories
from domain import events
from projections import projection

_LOCK_HEAD = "SELECT position, recorded_at FROM ledger.head FOR UPDATE"
_CLAIM = "SELECT ledger.claim_head($1, $2, $3)::text"
# What is known of the commands and of the aggregates, as rows of one shape.
_KNOWN = """
    SELECT clock_timestamp(), NULL::uuid, NULL::bigint, ledger.mark(), NULL::bigint, NULL::bigint,
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
_EVENTS = columns.Columns(
    {
        "position": "int8",
        "originator_id": "uuid",
        "originator_version": "int8",
        "topic": "text",
        "state": "json",
        "event_id": "uuid",
        "command_id": "uuid",
        "metadata": "jsonb",
        "recorded_at": "timestamptz",
    }
)
_COMMANDS = columns.Columns(
    {
        "command_id": "uuid",
        "fingerprint": "text",
        "first_position": "int8",
        "last_position": "int8",
        "recorded_at": "timestamptz",
    }
)
_INSERT_EVENTS = _EVENTS.insert(sql.Identifier("ledger", "events")).as_string()
_INSERT_COMMANDS = _COMMANDS.insert(sql.Identifier("ledger", "commands")).as_string()
_MOVE_HEAD = "UPDATE ledger.head SET position = %s, recorded_at = %s"
# As large as many an append, so that it needs room of its own. The positions are free while the
# head is locked.
_TRY_OUT = """
    INSERT INTO ledger.events (position, originator_id, originator_version, topic, state, event_id,
        command_id, metadata, recorded_at)
    SELECT head.position + number, gen_random_uuid(), 1, 'tried', to_json(repeat('x', 1000)),
        gen_random_uuid(), gen_random_uuid(), '{}', clock_timestamp()
    FROM ledger.head, generate_series(1, 32) AS number
"""
_ENQUEUE = """
    SELECT public.procrastinate_defer_jobs_v1(array_agg(ROW(
        $1, name, 0, NULL, NULL, args, run_at)::public.procrastinate_job_to_defer_v1))
    FROM json_to_recordset($2::json) AS t (name text, args jsonb, run_at timestamptz)
"""


class Request(NamedTuple):
    """A command and its events, on their way into the log."""

    command: commands.Command
    events: tuple[events.Event, ...]
    assumed: commands.Assumed | None = None

    def concerned(self) -> Iterator[UUID]:
        """Yield the aggregates whose versions matter, some of them twice."""
        if self.assumed is not None:
            yield from self.assumed.versions
        for event in self.events:
            yield event.originator_id

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

    def draft(self, seen: draft.Seen) -> draft.Draft:
        """Begin to accept commands on what was seen."""
        return draft.Draft(
            seen=seen, models=self.models, policies=self.policies, event_mapper=self.mapper
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """A transaction that can be sent without looking, and its outcomes if it goes through."""

    drafted: draft.Draft
    receipts: Sequence[commands.Receipt]
    statements: Sequence[statements.Statement]


def plan(*, rules: Rules, memory: memories.Memory, requests: Sequence[Request]) -> Plan | None:
    """Go on from what is known; None if that is not enough, or not all commands are accepted.

    One that is refused may be a repeat, or was refused for what is not known: that is looked up.
    """
    seen = memory.recall()
    if seen is None:
        return None
    drafted = rules.draft(seen)
    receipts: list[commands.Receipt] = []
    for request in requests:
        outcome = _outcome(drafted, request)
        if isinstance(outcome, Exception):
            return None
        receipts.append(outcome)
    claim = (_CLAIM, [str(seen.position), seen.mark, memory.last_event])
    try:
        return Plan(drafted, receipts, [claim, *_statements(rules.models, drafted)])
    except Exception:  # noqa: BLE001  it is met again by a look, and told to whom it concerns
        return None


async def write(
    connection: connections.Connection,
    *,
    rules: Rules,
    memory: memories.Memory,
    requests: Sequence[Request],
) -> list[commands.Receipt | Exception]:
    """Record the commands and return an outcome for each, in one transaction.

    Raises what the database raises: then nothing is recorded, or, if the connection was
    lost, perhaps everything.
    """
    wanted = memories.Wanted(
        keys=rules.models.keys(event for request in requests for event in request.provisional()),
        aggregates=list({key: None for request in requests for key in request.concerned()}),
    )
    async with connection.pipeline() as pipeline:
        await connection.execute("BEGIN")
        seen = await _look(connection, pipeline, rules.models, wanted, requests)
        drafted = rules.draft(seen)
        outcomes = [_outcome(drafted, request) for request in requests]
        await _store(connection, rules.models, drafted)
        await connection.execute("COMMIT")
    memory.clock.tell(seen.now)
    memory.look_back(wanted, seen, drafted)
    return outcomes


async def try_out(connection: connections.Connection) -> None:
    """Write events and take them back: an append could be stored now. Raises what prevents it."""
    async with connection.transaction(force_rollback=True):
        await connection.execute(_LOCK_HEAD)
        await connection.execute(_TRY_OUT)


def _outcome(drafted: draft.Draft, request: Request) -> commands.Receipt | Exception:
    try:
        return drafted.accept(
            command=request.command, new_events=request.events, assumed=request.assumed
        )
    except Exception as error:  # noqa: BLE001  a fold may raise anything; it fails this command alone
        return error


async def _look(
    connection: connections.Connection,
    pipeline: psycopg.AsyncPipeline,
    models: projecting.ReadModels,
    wanted: memories.Wanted,
    requests: Sequence[Request],
) -> draft.Seen:
    command_ids = [request.command.id for request in requests]
    head = await connection.execute(_LOCK_HEAD)
    known = await connection.execute(_KNOWN, [command_ids, wanted.aggregates])
    rows = await projecting.ask(connection, models, wanted.keys)
    # Between two syncs the server does not see that a session is idle, and waits for it for ever.
    await pipeline.sync()
    [(position, recorded_at)] = await head.fetchall()
    found = await known.fetchall()
    [(now, mark)] = [(row[0], row[3]) for row in found if row[0] is not None]
    return draft.Seen(
        position=position,
        recorded_at=recorded_at.astimezone(UTC),
        now=now.astimezone(UTC),
        commands={row[1]: recorded_command(row[3:]) for row in found if row[4] is not None},
        versions={row[1]: row[2] for row in found if row[2] is not None},
        rows=await projecting.answers(models, wanted.keys, rows),
        mark=mark,
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
    for text, values in _statements(models, drafted):
        await statements.execute(connection, text, values)


def _statements(models: projecting.ReadModels, drafted: draft.Draft) -> list[statements.Statement]:
    """Return what stores the draft: one statement if it is short, one more if there are tasks."""
    writes: list[list[statements.Statement]] = []
    if drafted.commands:
        writes.append([(_INSERT_COMMANDS, some) for some in _command_values(drafted)])
    if drafted.events:
        some_events = _EVENTS.values_in_order(drafted.events)
        writes.append([(_INSERT_EVENTS, some) for some in some_events])
        writes.append([(_MOVE_HEAD, [str(drafted.position), drafted.recorded_at.isoformat()])])
    writes += projecting.writes(models, drafted.folding.changes())
    stored = statements.in_turns(writes)
    if drafted.tasks:
        stored.append((_ENQUEUE, [task.QUEUE, tables.row_json(drafted.tasks)]))
    return stored


def _command_values(drafted: draft.Draft) -> Iterator[list[columns.Value]]:
    return _COMMANDS.values_in_order(
        [
            (
                command_id,
                recorded.fingerprint,
                recorded.receipt.first_position,
                recorded.receipt.last_position,
                recorded.receipt.recorded_at,
            )
            for command_id, recorded in drafted.commands.items()
        ]
    )
