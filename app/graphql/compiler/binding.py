"""The values of one execution."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import graphql
from graphql.execution import values

from app.access.caller import Caller


@dataclasses.dataclass(frozen=True)
class Binding:
    """The coerced variables of an execution, who asks, and what was `given` beside them."""

    variables: values.VariableValues
    caller: Caller | None
    given: Mapping[str, object] = dataclasses.field(default_factory=dict)
    _arguments: dict[int, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def arguments(
        self, *, definition: graphql.GraphQLField, node: graphql.FieldNode
    ) -> Mapping[str, Any]:
        """Return the arguments of a field; one that was left out is not there."""
        found = self._arguments.get(id(node))
        if found is None:
            found = values.get_argument_values(definition, node, self.variables)
            self._arguments[id(node)] = found
        return found


Question = Callable[[Binding], Hashable]
"""What the shape of a statement depends on."""

Value = Callable[[Binding], object]
"""A parameter of a statement."""


def bad_input(message: str, *, node: graphql.Node | None = None) -> graphql.GraphQLError:
    """Return the error that tells a client what is wrong with its input."""
    return graphql.GraphQLError(message, nodes=node, extensions={"code": "BAD_USER_INPUT"})
