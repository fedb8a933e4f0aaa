"""What a mutation answers: read, like a query, by one statement for what is selected of it."""

import dataclasses
import json
from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

import graphql

from app.graphql import context, operations, rows
from app.graphql.compiler import binding, compiling, plans, selection

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class Place:
    """A field of a mutation that is being answered: who asks, and what is selected there."""

    context: context.Context
    schema: graphql.GraphQLSchema
    field: selection.Field
    fragments: Mapping[str, graphql.FragmentDefinitionNode]
    bound: binding.Binding
    key: Hashable
    """The operation's."""
    is_walked: bool
    """Does graphql-core's executor walk the answer?"""


def place_of(info: context.Info) -> Place:
    """Return where the executor is."""
    raw = info._raw_info  # noqa: SLF001  strawberry shows less than graphql-core
    operation: operations.Operation = raw.root_value
    return Place(
        context=info.context,
        schema=raw.schema,
        field=selection.Field(
            key=str(raw.path.key),
            definition=raw.parent_type.fields[raw.field_name],
            nodes=tuple(raw.field_nodes),
            path=(),
        ),
        fragments=raw.fragments,
        bound=binding.Binding(variables=operation.variables, caller=info.context.caller),
        key=operation.key,
        is_walked=True,
    )


def require_readable(place: Place, type_: type) -> None:
    """Raise FORBIDDEN if what is selected of the payload `type_` needs the Beta (R1)."""
    place.context.reader.require_readable(target=_target(place, type_), bound=place.bound)


async def success(
    place: Place,
    type_: type,
    *,
    position: int,
    changed: Mapping[str, UUID] = _NOTHING,
    values: Mapping[str, object] = _NOTHING,
) -> rows.Row:
    """Return the payload `type_`: `changed` has the ids of its `source.changed` fields.

    `values` are the values of other fields, by Python name.
    """
    return await _read(
        place,
        type_,
        given=changed,
        values={"position": place.context.event_log.place(position), **values},
    )


async def refusal(
    place: Place,
    type_: type,
    *,
    values: Mapping[str, object],
    holder: tuple[str, UUID] | None = None,
    deployment_id: UUID | None = None,
    current_plan: Mapping[str, Any] | None = None,
) -> rows.Row:
    """Return the refusal `type_`; `holder` is a GraphQL type and id, `current_plan` as JSON."""
    given = {
        "holder": holder,
        "deployment": deployment_id,
        "current_plan": None if current_plan is None else json.dumps(current_plan),
    }
    return await _read(place, type_, given=given, values=values)


async def _read(
    place: Place,
    type_: type,
    *,
    given: Mapping[str, object],
    values: Mapping[str, object],
) -> rows.Row:
    target = _target(place, type_)
    bound = dataclasses.replace(place.bound, given=given)
    plan = place.context.reader.plan(target=target, bound=bound)
    text = await place.context.reader.text(plan=plan, row=plan.row(bound), bound=bound)
    read = rows.parsed(text)
    row: rows.Row = {compiling.TYPE_KEY: target.type.name} if place.is_walked else {}
    for field in plan.fields:
        row[field.key] = (
            operations.shaped(values, field=field, target=target, schema=place.schema, bound=bound)
            if field.source is None
            else read[field.key]
        )
    return row


def _target(place: Place, type_: type) -> plans.Target:
    name = type_.__strawberry_definition__.name  # type: ignore[attr-defined]  # strawberry adds it
    found = place.schema.get_type(name)
    if not isinstance(found, graphql.GraphQLObjectType):
        raise TypeError(f"{name} is no object type of the schema")
    # Of fields with one key, variables may leave out some.
    where = tuple([node.loc and node.loc.start for node in place.field.nodes])
    return plans.Target(
        key=(place.key, where, name),
        type=found,
        selections=place.field.selections,
        fragments=place.fragments,
        is_walked=place.is_walked,
    )
