"""Operations, prepared once: parsed, validated, measured and weighed.

What is wrong, or is not for the short way, is remembered as such: the executor says what to say.
"""

import collections
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import graphql

from app.access.caller import Caller
from app.graphql import costs, limits, operations, variables
from app.graphql.compiler import arguments, binding, plans

_REMEMBERED = 512
_LONGEST = 32_768  # characters of a text that is remembered
_INTROSPECTION = re.compile(r"__(schema|type)\b")
_KINDS = (graphql.OperationType.QUERY, graphql.OperationType.MUTATION)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An operation that is fine."""

    operation: graphql.OperationDefinitionNode
    variables: variables.Variables
    target: plans.Target
    weight: costs.Weight
    fillings: dict[int, arguments.Fill | None] = dataclasses.field(default_factory=dict)

    @property
    def is_mutation(self) -> bool:
        """Does it change anything?"""
        return self.operation.operation is graphql.OperationType.MUTATION

    def bound(self, given: Mapping[str, Any] | None, caller: Caller) -> binding.Binding | None:
        """Return the variables as their types have them; None if they do not fit."""
        values = self.variables.coerced(given or {})
        if values is None:
            return None
        return binding.Binding(variables=values, caller=caller, fillings=self.fillings)


class Operations:
    """The operations that were asked last."""

    def __init__(self, *, schema: graphql.GraphQLSchema) -> None:
        self._schema = schema
        self._allowed = limits.of(schema)
        self._known: collections.OrderedDict[tuple[str, str | None], Prepared | None] = (
            collections.OrderedDict()
        )

    def find(self, text: str, name: str | None) -> Prepared | None:
        """Return the operation; None if it is left to the executor."""
        key = (text, name)
        try:
            self._known.move_to_end(key)
        except KeyError:
            return self._prepare(key)
        return self._known[key]

    def _prepare(self, key: tuple[str, str | None]) -> Prepared | None:
        text, name = key
        if len(text) > _LONGEST or _INTROSPECTION.search(text):
            return None
        found = self._known[key] = self._prepared(text, name)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def _prepared(self, text: str, name: str | None) -> Prepared | None:
        try:
            document = graphql.parse(text, max_tokens=self._allowed.tokens)
            is_wrong = limits.problems(document, limits=self._allowed) or graphql.validate(
                self._schema, document
            )
        except (graphql.GraphQLError, RecursionError):
            return None
        operation = graphql.get_operation_ast(document, name)
        if is_wrong or operation is None or operation.operation not in _KINDS:
            return None
        fragments = operations.fragments_of(document)
        target = operations.root_target(
            schema=self._schema, fragments=fragments, operation=operation, key=(text, name)
        )
        return Prepared(
            operation=operation,
            variables=variables.Variables(schema=self._schema, operation=operation),
            target=dataclasses.replace(target, is_walked=False),
            weight=costs.weight(schema=self._schema, operation=operation, fragments=fragments),
        )
