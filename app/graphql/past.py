"""What was: rows folded anew from the log, up to a moment, as JSON."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from psycopg import sql

from app.eventlog import connections, log
from app.graphql import identifiers
from app.graphql.compiler import binding, moments
from projections import deployments, environments, projection, service_instances

_PAGE = 2000  # events
_PROJECTIONS: Mapping[str, projection.Projection] = MappingProxyType(
    {
        each.table.name: each
        for each in (
            service_instances.ServiceInstances(),
            environments.Environments(),
            deployments.Deployments(),
        )
    }
)
_TABLES = MappingProxyType({"ServiceInstance": "service_instances", "Environment": "environments"})
_POSITION = """
    SELECT position FROM ledger.events WHERE recorded_at <= $1 ORDER BY recorded_at DESC LIMIT 1
"""
_END = """
    SELECT c.last_position FROM ledger.events AS e JOIN ledger.commands AS c USING (command_id)
    WHERE e.position = $1
"""
_NAMED = """
    SELECT id FROM read.environments WHERE project_id = $1 AND name = $2 ORDER BY created_at DESC
"""
_BELOW = "SELECT id FROM read.{} WHERE environment_id = $1 ORDER BY created_at, id"
_STARTED = "SELECT id FROM read.{} WHERE environment_id = $1 ORDER BY number"

_Rows = Mapping[UUID, projection.Row]

_FIELDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "service_instances": {
            "plan": "plan",
            "region": "region",
            "prefix": "prefix",
            "parameters": "parameters",
            "variable_names": "variableNames",
            "protected": "protected",
            "state": "state",
            "functional": "functional",
            "usable": "usableByApplication",
            "wanted": "wanted",
            "parked": "parked",
            "abandoned": "abandoned",
            "operation_kind": "operation.kind",
            "operation_status": "operation.status",
            "operation_attempt": "operation.attempt",
            "operation_deadline": "operation.deadline",
            "operation_error_code": "operation.error.code",
            "operation_error_message": "operation.error.message",
            "next_plan": "nextPlan",
            "next_parameters": "nextParameters",
            "secret_version": "secretVersion",
            "removal_requested": "removalRequested",
            "removal_scheduled_for": "removalScheduledFor",
            "deployment_id": "inDeployment.deployment",
            "deployment_role": "inDeployment.role",
        },
        "environments": {
            "name": "name",
            "protected": "protected",
            "deployer": "deployer.kind",
            "deployer_settings": "deployer.settings",
            "deployer_secret_names": "deployer.secretsSet",
            "running_revision": "runningRevision.number",
            "running_deployment_id": "runningDeployment",
            "is_deleted": "deleted",
        },
    }
)
"""What a column is called by clients; the columns that are not here tell nothing more."""


class Past:
    """Answers what compiled statements want to know before they run."""

    def __init__(self, *, pool: connections.Connections, event_log: log.EventLog) -> None:
        self._pool = pool
        self._log = event_log

    async def answer(self, request: object) -> str:
        """Return the JSON text of what is asked for."""
        match request:
            case moments.Then():
                found: object = await self._then(request)
            case moments.Difference():
                found = await self._difference(request)
            case _:
                raise TypeError(f"nobody prepares {request}")
        return json.dumps(found, default=_plain)

    async def _then(self, then: moments.Then) -> list[dict[str, Any]]:
        asked = await self._position(then.at)
        # A service alone is told as its history tells it, event by event.
        is_alone = then.table == "service_instances" and not then.is_below
        position = asked if is_alone else await self._end(asked)
        own = await self._own(then, position)
        found = [own]
        if then.is_below:
            found = [await self._below(then.table, each, position) for each in own]
        # What is listed beside a row, such as its history, goes as far as was asked.
        return [
            {**row, "position": min(row["position"], asked)}
            for rows in found
            for row in rows.values()
        ]

    async def _own(self, then: moments.Then, position: int) -> _Rows:
        """Return the one row of the key; the youngest of its name that was there, if several."""
        table = "environments" if then.is_below else then.table
        match then.key:
            case None:
                return {}
            case UUID() as id_:
                return await self._rows(table, [id_], position)
            case (project, name):
                named = await self._rows(table, await self._ids(_NAMED, project, name), position)
                there = [(id_, row) for id_, row in named.items() if not row["is_deleted"]]
                return dict(sorted(there, key=lambda each: each[1]["position"])[-1:])

    async def _below(self, table: str, environment_id: UUID, position: int) -> _Rows:
        statement = _STARTED if table == "deployments" else _BELOW
        named = sql.SQL(statement).format(sql.Identifier(table))
        return await self._rows(table, await self._ids(named, environment_id), position)

    async def _difference(self, wanted: moments.Difference) -> dict[str, Any]:
        since = await self._position(wanted.since)
        until = await self._position(wanted.until)
        if since > until:
            raise binding.bad_input("`from` is later than `to`.")
        table, changes = _TABLES[wanted.type_name], []
        before, after = [await self._rows(table, [wanted.id], at) for at in (since, until)]
        changes += _changes(table, before, after)
        subjects = [wanted.id]
        if table == "environments":
            table = "service_instances"
            before, after = [await self._below(table, wanted.id, at) for at in (since, until)]
            changes += _changes(table, before, after)
            subjects += after
        return {"since": since, "until": until, "subjects": subjects, "changes": changes}

    async def _rows(self, table: str, ids: Sequence[UUID], position: int) -> _Rows:
        """Return the rows of some aggregates as of a position."""
        folding = _PROJECTIONS[table]
        rows: dict[UUID, projection.Row] = {}
        after = 0
        while recorded := await self._log.read_some(ids, after=after, until=position, limit=_PAGE):
            for each in recorded:
                for key in folding.keys(each):
                    row = folding.fold(rows.get(key[0]), each, key)
                    if row is not None:
                        rows[key[0]] = row
            after = recorded[-1].position
        return rows

    async def _position(self, moment: moments.Moment | None) -> int:
        if moment is None:
            return await self._log.head()
        place = moment.get("position")
        if place is not None:
            # What is beyond the end is now; what was lost with another log is refused.
            is_there = place <= await self._log.head()
            return await self._log.common_position(place) if is_there else int(place)
        [position] = await self._ids(_POSITION, moment["time"]) or [0]
        return int(position)

    async def _end(self, position: int) -> int:
        """Return where the command ends whose event is at a position.

        All that one command did came to be at once (R35): between its events there was nothing
        to be seen, and what some of them name may be recorded by a later one.
        """
        [end] = await self._ids(_END, position) or [position]
        return int(end)

    async def _ids(self, statement: str | sql.Composed, *values: object) -> list[Any]:
        async def work(connection: connections.Connection) -> list[Any]:
            query = statement.encode() if isinstance(statement, str) else statement
            return [id_ for (id_,) in await (await connection.execute(query, values)).fetchall()]

        return await self._pool.run(work)


def _changes(table: str, before: _Rows, after: _Rows) -> list[dict[str, Any]]:
    """Return what is different; what was not there had no values."""
    return [
        {"subject_id": id_, "field": name, "before": old, "after": new}
        for id_, row in after.items()
        for column, name in _FIELDS[table].items()
        if (old := _shown(column, before.get(id_))) != (new := _shown(column, row))
    ]


def _shown(column: str, row: projection.Row | None) -> object:
    """Return a value of a row as clients see it."""
    value = None if row is None else row.get(column)
    if isinstance(value, UUID):  # of the columns that are shown, those of deployments
        return identifiers.text(type_name="Deployment", uuid=value)
    return value.upper() if column == "deployer" and isinstance(value, str) else value


def _plain(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
