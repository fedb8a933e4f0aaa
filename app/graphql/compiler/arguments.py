"""Arguments of a field: what makes them of the variables is found out once for a document.

Most are constants, variables, and objects of these. The values of variables have been checked
against their types, and validation has seen that those fit here; so they are put in place.
Whatever is not as simple as that is left to graphql-core.
"""

from collections.abc import Callable, Mapping
from typing import Any

import graphql
from graphql.execution import values
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal

Fill = Callable[[Mapping[str, Any]], Any]
"""Makes a value of the variables. Raises KeyError if it is not as simple as that after all."""

_Field = graphql.GraphQLArgument | graphql.GraphQLInputField
_NONE = values.VariableValues(sources={}, coerced={})


def filling(definition: graphql.GraphQLField, node: graphql.FieldNode) -> Fill | None:
    """Return what makes the arguments of a field; None if graphql-core has to."""
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    if not any(map(holds_variable, given.values())):
        return _constant(values.get_argument_values(definition, node, _NONE))
    return _object(definition.args, given)


def holds_variable(value: graphql.ValueNode) -> bool:
    """Tell whether a value depends on variables."""
    match value:
        case graphql.VariableNode():
            return True
        case graphql.ListValueNode():
            return any(map(holds_variable, value.values))
        case graphql.ObjectValueNode():
            return any(holds_variable(field.value) for field in value.fields)
        case _:
            return False


def _object(fields: Mapping[str, _Field], given: Mapping[str, graphql.ValueNode]) -> Fill | None:
    parts: list[tuple[str, Fill]] = []
    optional: list[tuple[str, str]] = []
    for name, field in fields.items():
        value = given.get(name)
        has_default = field.default is not None or field.default_value is not graphql.Undefined
        is_optional = not (has_default or graphql.is_non_null_type(field.type))
        if isinstance(value, graphql.VariableNode) and is_optional:
            optional.append((field.out_name or name, value.name.value))
        elif value is not None:
            part = _value(field.type, value)
            if part is None:
                return None
            parts.append((field.out_name or name, part))
        elif has_default:
            parts.append((field.out_name or name, _constant(coerce_default_value(field))))
        elif not is_optional:
            return None

    def fill(variables: Mapping[str, Any]) -> dict[str, Any]:
        made = {name: part(variables) for name, part in parts}
        for name, variable in optional:
            if variable in variables:
                made[name] = variables[variable]
        return made

    return fill


def _value(type_: graphql.GraphQLInputType, node: graphql.ValueNode) -> Fill | None:
    if isinstance(node, graphql.VariableNode):
        return _variable(node.name.value)
    if not holds_variable(node):
        return _constant(coerce_input_literal(node, type_))
    named = graphql.get_nullable_type(type_)
    if not isinstance(node, graphql.ObjectValueNode) or not isinstance(
        named, graphql.GraphQLInputObjectType
    ):
        return None
    if named.is_one_of:
        return _one_of(named, node)
    fill = _object(named.fields, {each.name.value: each.value for each in node.fields})
    return None if fill is None else lambda variables: named.out_type(fill(variables))


def _one_of(type_: graphql.GraphQLInputObjectType, node: graphql.ObjectValueNode) -> Fill | None:
    [given] = node.fields
    field = type_.fields[given.name.value]
    part = _value(graphql.GraphQLNonNull(field.type), given.value)
    name = field.out_name or given.name.value
    return None if part is None else lambda variables: type_.out_type({name: part(variables)})


def _constant(value: object) -> Fill:
    return lambda _: value


def _variable(name: str) -> Fill:
    def fill(variables: Mapping[str, Any]) -> Any:  # noqa: ANN401  a value of any type
        value = variables[name]
        if value is None:
            raise KeyError(name)  # null may not be allowed here
        return value

    return fill
