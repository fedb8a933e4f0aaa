"""What a mutation answers: read, like a query, by one statement for what is selected of it."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

import graphql

from app.graphql import context, operations, rows
from app.graphql.compiler import binding, compiling, plans

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def require_readable(info: context.Info, type_: type) -> None:
    """Raise FORBIDDEN if what is selected of the payload `type_` needs the Beta (R1)."""
    raw = info._raw_info  # noqa: SLF001  strawberry shows less than graphql-core
    bound = binding.Binding(variables=raw.root_value.variables, caller=info.context.caller)
    info.context.reader.require_readable(target=_target(raw, type_), bound=bound)


async def success(
    info: context.Info,
    type_: type,
    *,
    position: int,
    changed: Mapping[str, UUID] = _NOTHING,
    values: Mapping[str, object] = _NOTHING,
) -> Any:  # noqa: ANN401  a row stands for an object of `type_`
    """Return the payload `type_`: `changed` has the ids of its `source.changed` fields.

    `values` are the values of other fields, by Python name.
    """
    return await _read(
        info,
        type_,
        given=changed,
        values={"position": info.context.event_log.place(position), **values},
    )


async def refusal(
    info: context.Info,
    type_: type,
    *,
    values: Mapping[str, object],
    holder: tuple[str, UUID] | None = None,
    deployment_id: UUID | None = None,
    current_plan: Mapping[str, Any] | None = None,
) -> Any:  # noqa: ANN401  a row stands for an object of `type_`
    """Return the refusal `type_`; `holder` is a GraphQL type and id, `current_plan` as JSON."""
    given = {
        "holder": holder,
        "deployment": deployment_id,
        "current_plan": None if current_plan is None else json.dumps(current_plan),
    }
    return await _read(info, type_, given=given, values=values)


async def _read(
    info: context.Info,
    type_: type,
    *,
    given: Mapping[str, object],
    values: Mapping[str, object],
) -> rows.Row:
    raw = info._raw_info  # noqa: SLF001  strawberry shows less than graphql-core
    target = _target(raw, type_)
    bound = binding.Binding(
        variables=raw.root_value.variables, caller=info.context.caller, given=given
    )
    row = await info.context.reader.read(target=target, bound=bound)
    row[compiling.TYPE_KEY] = target.type.name
    for field in operations.selected(schema=raw.schema, target=target, bound=bound):
        if field.source is None and field.name != "__typename":
            definition = field.definition.extensions["strawberry-definition"]
            row[field.key] = values[definition.python_name]
    return row


def _target(raw: graphql.GraphQLResolveInfo[Any], type_: type) -> plans.Target:
    name = type_.__strawberry_definition__.name  # type: ignore[attr-defined]  # strawberry adds it
    found = raw.schema.get_type(name)
    if not isinstance(found, graphql.GraphQLObjectType):
        raise TypeError(f"{name} is no object type of the schema")
    operation: operations.Operation = raw.root_value
    return plans.Target(
        key=(operation.key, raw.path.key, name),
        type=found,
        selections=tuple(node.selection_set for node in raw.field_nodes if node.selection_set),
        fragments=raw.fragments,
    )
