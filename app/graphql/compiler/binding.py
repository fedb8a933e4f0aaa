"""The values of one execution."""

import contextlib
import dataclasses
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import graphql
from graphql.execution import values

from app.access.caller import Caller
from app.graphql.compiler import arguments


@dataclasses.dataclass(frozen=True)
class Binding:
    """The coerced variables of an execution, who asks, and what was `given` beside them."""

    variables: values.VariableValues
    caller: Caller | None
    given: Mapping[str, object] = dataclasses.field(default_factory=dict)
    fillings: dict[int, arguments.Fill | None] = dataclasses.field(default_factory=dict)
    """What makes the arguments of a node, kept by whoever keeps the document."""
    _arguments: dict[int, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def arguments(
        self, *, definition: graphql.GraphQLField, node: graphql.FieldNode
    ) -> Mapping[str, Any]:
        """Return the arguments of a field; one that was left out is not there."""
        found = self._arguments.get(id(node))
        if found is None:
            found = self._arguments[id(node)] = self._filled(definition, node)
        return found

    def _filled(
        self, definition: graphql.GraphQLField, node: graphql.FieldNode
    ) -> Mapping[str, Any]:
        if id(node) not in self.fillings:
            self.fillings[id(node)] = arguments.filling(definition, node)
        fill = self.fillings[id(node)]
        if fill is not None:
            with contextlib.suppress(KeyError):
                filled: Mapping[str, Any] = fill(self.variables.coerced)
                return filled
        return values.get_argument_values(definition, node, self.variables)


def is_constant(node: graphql.SelectionNode) -> bool:
    """Are the arguments of a node and its directives the same whatever the variables are?"""
    return not any(
        arguments.holds_variable(argument.value)
        for each in (node, *(node.directives or ()))
        for argument in getattr(each, "arguments", None) or ()
    )


Question = Callable[[Binding], Hashable]
"""What the shape of a statement depends on."""

Value = Callable[[Binding], object]
"""A parameter of a statement."""


def bad_input(message: str, *, node: graphql.Node | None = None) -> graphql.GraphQLError:
    """Return the error that tells a client what is wrong with its input."""
    return graphql.GraphQLError(message, nodes=node, extensions={"code": "BAD_USER_INPUT"})
