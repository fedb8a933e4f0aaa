"""Variables of an operation, checked against their types.

Most are plain texts, whole numbers and truth values, and fit; they are looked at once. All
others, and whatever does not fit, are the business of graphql-core.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import graphql
from graphql.execution import values
from graphql.execution.get_variable_signature import (
    GraphQLVariableSignature,
    get_variable_signature,
)

_Fits = Callable[[Any], bool]
_Plain = tuple[str, GraphQLVariableSignature, _Fits]


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_number(value: object) -> bool:
    return type(value) is int and graphql.GRAPHQL_MIN_INT <= value <= graphql.GRAPHQL_MAX_INT


def _is_truth(value: object) -> bool:
    return type(value) is bool


_FITS: Mapping[str, _Fits] = MappingProxyType(
    {"ID": _is_text, "String": _is_text, "Int": _is_number, "Boolean": _is_truth}
)


class Variables:
    """The variables of an operation."""

    def __init__(
        self, *, schema: graphql.GraphQLSchema, operation: graphql.OperationDefinitionNode
    ) -> None:
        self._schema = schema
        self._nodes = operation.variable_definitions or ()
        self._plain = self._all_plain()

    def coerced(self, given: Mapping[str, Any]) -> values.VariableValues | None:
        """Return the values as their types have them; None if they do not fit."""
        plain = self._plain_values(given)
        if plain is not None:
            return plain
        found = values.get_variable_values(self._schema, self._nodes, dict(given))
        return None if isinstance(found, list) else found

    def _plain_values(self, given: Mapping[str, Any]) -> values.VariableValues | None:
        if self._plain is None:
            return None
        sources, coerced = {}, {}
        for name, signature, fits in self._plain:
            value = given.get(name)
            if not fits(value):
                return None
            sources[name] = values.VariableValueSource(signature, value)
            coerced[name] = value
        return values.VariableValues(sources=sources, coerced=coerced)

    def _all_plain(self) -> tuple[_Plain, ...] | None:
        found = []
        for node in self._nodes:
            signature = get_variable_signature(self._schema, node)
            if isinstance(signature, graphql.GraphQLError):
                return None
            fits = _FITS.get(str(graphql.get_nullable_type(signature.type)))
            if fits is None:
                return None
            found.append((signature.name, signature, fits))
        return tuple(found)
