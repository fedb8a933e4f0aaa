"""The operation at hand, and what its payloads are compiled from."""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import graphql
from graphql.execution import values as execution_values

from app.access.caller import Caller
from app.eventlog import tail
from app.graphql.compiler import binding, plans, selection

_INTROSPECTION = frozenset({"__schema", "__type"})
_OPEN_TO_ALL = _INTROSPECTION | {"__typename", "viewer"}


class Operation(dict[str, Any]):
    """The root of an answer: what was read for it, and the operation's text and name.

    A subscription has a cursor, from its beginning or from whoever goes on with it.
    """

    def __init__(self, *, cursor: tail.Cursor | None = None, stays: bool = True) -> None:
        super().__init__()
        self.key: tuple[str, str | None] = ("", None)
        self.cursor = cursor
        self.stays = stays
        self.given = ""
        """The variables as they came, as one text."""
        self.variables = execution_values.VariableValues(sources={}, coerced={})


def bound_variables(
    *,
    schema: graphql.GraphQLSchema,
    operation: graphql.OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
    caller: Caller | None,
) -> binding.Binding | None:
    """Return the coerced variables; None if the executor is going to refuse them."""
    coerced = execution_values.get_variable_values(
        schema, operation.variable_definitions or (), dict(variables or {})
    )
    return None if isinstance(coerced, list) else binding.Binding(variables=coerced, caller=caller)


def root_target(
    *,
    schema: graphql.GraphQLSchema,
    fragments: Mapping[str, graphql.FragmentDefinitionNode],
    operation: graphql.OperationDefinitionNode,
    key: tuple[str, str | None],
) -> plans.Target:
    """Return what the operation selects at its root."""
    return plans.Target(
        key=key,
        type=cast("graphql.GraphQLObjectType", schema.get_root_type(operation.operation)),
        selections=(operation.selection_set,),
        fragments=fragments,
    )


def all_of(document: graphql.DocumentNode) -> list[graphql.OperationDefinitionNode]:
    """Return the operations of a document."""
    return [
        each for each in document.definitions if isinstance(each, graphql.OperationDefinitionNode)
    ]


def fragments_of(document: graphql.DocumentNode) -> dict[str, graphql.FragmentDefinitionNode]:
    """Return the fragments of a document by name."""
    return {
        each.name.value: each
        for each in document.definitions
        if isinstance(each, graphql.FragmentDefinitionNode)
    }


def selected(
    *, schema: graphql.GraphQLSchema, target: plans.Target, bound: binding.Binding
) -> list[selection.Field]:
    """Return the fields that a target selects at its root."""
    selector = selection.Selector(
        schema=schema, fragments=target.fragments, ask=lambda question, **_: question(bound)
    )
    return selector.fields(type_=target.type, selections=target.selections, path=())


def shaped(
    values: Mapping[str, Any],
    *,
    field: selection.Field,
    target: plans.Target,
    schema: graphql.GraphQLSchema,
    bound: binding.Binding,
) -> Any:  # noqa: ANN401  JSON
    """Return what is selected of a value that no statement reads, by Python name."""
    selector = selection.Selector(
        schema=schema, fragments=target.fragments, ask=lambda question, **_: question(bound)
    )
    return _Shaping(selector).value(values, field, target.type)


@dataclasses.dataclass(frozen=True)
class _Shaping:
    selector: selection.Selector

    def value(
        self,
        parent: Any,  # noqa: ANN401  a value of any type
        field: selection.Field,
        type_: graphql.GraphQLObjectType,
    ) -> Any:  # noqa: ANN401  JSON
        if field.name == "__typename":
            return type_.name
        name = field.definition.extensions["strawberry-definition"].python_name
        found = parent[name] if isinstance(parent, Mapping) else getattr(parent, name)
        return self._shaped(found, field)

    def _shaped(self, value: Any, field: selection.Field) -> Any:  # noqa: ANN401  as above
        if value is None:
            return None
        if isinstance(value, list):
            return [self._shaped(each, field) for each in value]
        if isinstance(field.type, graphql.GraphQLObjectType):
            below = self.selector.fields(
                type_=field.type, selections=field.selections, path=field.path
            )
            return {each.key: self.value(value, each, field.type) for each in below}
        return cast("graphql.GraphQLLeafType", field.type).serialize(value)


def is_open_to_all(
    *, schema: graphql.GraphQLSchema, target: plans.Target, bound: binding.Binding
) -> bool:
    """May it be asked without a token?"""
    fields = selected(schema=schema, target=target, bound=bound)
    return target.type is schema.query_type and all(field.name in _OPEN_TO_ALL for field in fields)


def is_introspection(
    *, schema: graphql.GraphQLSchema, target: plans.Target, bound: binding.Binding
) -> bool:
    """Tell whether it asks for the schema."""
    fields = selected(schema=schema, target=target, bound=bound)
    return any(field.name in _INTROSPECTION for field in fields)
