"""What a caller may see: the one place that says it in SQL.

Each statement that reaches rows from outside, by id or by list, holds this condition; rows
reached from a row that the caller sees belong to the same project. Whether the caller sees all
decides the shape of a statement; who it is, is bound to it, so that callers share statements.
Memberships are asked for by the statement itself: whoever leaves a project sees it no more.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import LiteralString

from psycopg import sql

from app.access import caller
from app.application import permissions
from app.graphql.compiler import binding
from app.graphql.compiler.compiling import Compiler

_MINE: LiteralString = """
    SELECT m.project_id FROM read.members AS m WHERE m.subject = {subject}::text
        AND ({only_in}::uuid[] IS NULL OR m.project_id = ANY({only_in}::uuid[]))
    UNION ALL SELECT unnest({granted}::uuid[])"""

_THINGS: LiteralString = """
    SELECT thing.id FROM ({mine}) AS mine (id), LATERAL (
        SELECT mine.id
        UNION ALL SELECT e.id FROM read.environments AS e WHERE e.project_id = mine.id
        UNION ALL SELECT s.id FROM read.service_instances AS s WHERE s.project_id = mine.id
        UNION ALL SELECT d.id FROM read.deployments AS d WHERE d.project_id = mine.id
    ) AS thing"""

_CONDITIONS: Mapping[str, LiteralString] = MappingProxyType(
    {
        "read.projects": "{there}.id IN ({mine})",
        "read.environments": "{there}.project_id IN ({mine})",
        "read.service_instances": "{there}.project_id IN ({mine})",
        "read.deployments": "{there}.project_id IN ({mine})",
        "ledger.events": "{there}.originator_id IN ({things})",
        "read.api_tokens": "false",
    }
)
"""Which rows of a table those see who do not see all; a table that is not listed has none."""


_PLACE: LiteralString = """(
    EXISTS (SELECT FROM read.service_instances AS {there} WHERE {there}.id = {place} AND {services})
    OR EXISTS (SELECT FROM read.deployments AS {there} WHERE {there}.id = {place} AND {deployments})
)"""

IN_BETA = frozenset(
    {
        "ServiceInstance",
        "Deployment",
        "DeploymentPlan",
        "Revision",
        "AuditEvent",
        "AuditProgress",
        "HistoryDiff",
    }
)
"""The types that make up the view of services (R1), and what is reached through them alone."""


def visible(*, table: str, there: sql.Composable, compiler: Compiler) -> sql.Composable:
    """Return the condition on the rows `there` of a table."""
    if compiler.ask(lambda bound: permissions.sees_all(bound.caller)) is True:
        return sql.SQL("true")
    return _condition(
        table,
        there,
        subject=compiler.parameter(lambda bound: _scope(bound).subject),
        only_in=compiler.parameter(lambda bound: _listed(_scope(bound).only_in)),
        granted=compiler.parameter(lambda bound: _listed(_scope(bound).granted)),
    )


def visible_to(
    who: caller.Caller, *, table: str, there: sql.Composable
) -> tuple[sql.Composable, dict[str, object]]:
    """Return the same for one caller, in a statement of its own, with the values it holds."""
    scope = permissions.scope_of(who)
    if scope.sees_all:
        return sql.SQL("true"), {}
    values: dict[str, object] = {
        "scope_subject": scope.subject,
        "scope_only_in": _listed(scope.only_in),
        "scope_granted": _listed(scope.granted),
    }
    subject, only_in, granted = map(sql.Placeholder, values)
    return _condition(table, there, subject=subject, only_in=only_in, granted=granted), values


def place_visible_to(
    who: caller.Caller | None, place: sql.Composable
) -> tuple[sql.Composable, dict[str, object]]:
    """Return whether a caller sees the service instance or deployment of an id; likewise."""
    if who is None:
        return sql.SQL("false"), {}
    there = sql.Identifier("there")
    services, values = visible_to(who, table="read.service_instances", there=there)
    deployments, _ = visible_to(who, table="read.deployments", there=there)
    return (
        sql.SQL(_PLACE).format(
            place=place, there=there, services=services, deployments=deployments
        ),
        values,
    )


def _condition(table: str, there: sql.Composable, **scope: sql.Composable) -> sql.Composable:
    mine = sql.SQL(_MINE).format(**scope)
    things = sql.SQL(_THINGS).format(mine=mine)
    return sql.SQL(_CONDITIONS[table]).format(there=there, mine=mine, things=things)


def _scope(bound: binding.Binding) -> permissions.Scope:
    return permissions.scope_of(bound.caller)


def _listed(projects: tuple[object, ...] | None) -> list[object] | None:
    return None if projects is None else list(projects)
