"""Rows of a compiled statement, walked by graphql-core's executor.

The statement has done the work: values stand under the keys of the answer, and the executor
only has to look them up.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import graphql

from app.graphql.compiler import compiling

_Resolver = Callable[..., Any]


Row = dict[str, Any]
"""An object of the answer, by response key."""


class Read(Row):
    """What was read."""

    is_lasting = True
    """May it be remembered? Not what a person wrote, who may be erased."""


def parsed(text: str) -> Row:
    """Return the answer of a statement."""
    row: Row = json.loads(text)
    return row


def let_rows_through(schema: graphql.GraphQLSchema) -> None:
    """Make the schema's resolvers and types take rows; other values are treated as before."""
    for type_ in schema.type_map.values():
        if isinstance(type_, graphql.GraphQLObjectType) and not type_.name.startswith("__"):
            _let_through(type_)
        elif isinstance(type_, graphql.GraphQLInterfaceType | graphql.GraphQLUnionType):
            type_.resolve_type = _type_of_row(type_.resolve_type)


def _let_through(type_: graphql.GraphQLObjectType) -> None:
    if type_.is_type_of is not None:
        type_.is_type_of = _is_of(type_.is_type_of)
    for field in type_.fields.values():
        definition = field.extensions.get("strawberry-definition")
        if definition is not None and definition.base_resolver is None and field.resolve:
            field.resolve = _from_row(field.resolve, _reading(field))


def _reading(field: graphql.GraphQLField) -> Mapping[str, Any] | None:
    """Return the values of an enum by name, if they differ: rows hold the names."""
    named = graphql.get_named_type(field.type)
    if not isinstance(named, graphql.GraphQLEnumType):
        return None
    values = {name: value.value for name, value in named.values.items()}
    return values if any(name != value for name, value in values.items()) else None


def _from_row(otherwise: _Resolver, values: Mapping[str, Any] | None) -> _Resolver:
    def resolve(parent: Any, info: graphql.GraphQLResolveInfo[Any], **arguments: Any) -> Any:  # noqa: ANN401  values of any type
        if isinstance(parent, dict):
            value = parent[str(info.path.key)]
            return value if values is None else values.get(value, value)
        return otherwise(parent, info, **arguments)

    return resolve


def _type_of_row(otherwise: _Resolver | None) -> _Resolver:
    fallback = otherwise or graphql.default_type_resolver

    def resolve_type(value: Any, info: Any, type_: Any) -> Any:  # noqa: ANN401  as graphql-core declares it
        if isinstance(value, dict):
            return value[compiling.TYPE_KEY]
        return fallback(value, info, type_)

    return resolve_type


def _is_of(otherwise: _Resolver) -> _Resolver:
    def is_type_of(value: Any, info: Any) -> Any:  # noqa: ANN401  as graphql-core declares it
        return True if isinstance(value, dict) else otherwise(value, info)

    return is_type_of
