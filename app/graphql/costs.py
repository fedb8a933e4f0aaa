"""What an operation costs, told before it runs, and what a caller may spend.

A field costs 1; what is below a list counts as often as the list may have items: the page that
is asked for, or an estimate where there are no pages. Nothing is read to know it.
"""

import collections
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Hashable, Mapping

import graphql
from graphql.execution import values as execution_values

from app.graphql import limits
from app.graphql.compiler import binding, pages

_ITEMS = 10  # of a list without pages
_MUTATION = 100  # one transaction weighs as much as so many fields
_MINUTE = 60.0
_NONE = execution_values.VariableValues(sources={}, coerced={})
_PURSES = 10_000  # callers remembered


Items = Callable[[binding.Binding], int]


@dataclasses.dataclass(frozen=True)
class Weight:
    """What a selection costs: so much, and for lists what is below times their items."""

    fixed: int = 0
    lists: tuple[tuple[Items, "Weight"], ...] = ()

    def of(self, bound: binding.Binding) -> int:
        """Return the cost with these variables."""
        return self.fixed + sum(items(bound) * below.of(bound) for items, below in self.lists)

    def beside(self, other: "Weight") -> "Weight":
        """Return the weight of both."""
        return Weight(self.fixed + other.fixed, self.lists + other.lists)


def weight(
    *,
    schema: graphql.GraphQLSchema,
    operation: graphql.OperationDefinitionNode,
    fragments: Mapping[str, graphql.FragmentDefinitionNode],
) -> Weight:
    """Return the weight of an operation; fragments are weighed once each."""
    root = schema.get_root_type(operation.operation)
    found = _Scale(schema=schema, fragments=fragments).inside(root, operation.selection_set)
    if operation.operation is graphql.OperationType.MUTATION:
        return found.beside(Weight(_MUTATION * len(operation.selection_set.selections)))
    return found


class _Scale:
    def __init__(
        self,
        *,
        schema: graphql.GraphQLSchema,
        fragments: Mapping[str, graphql.FragmentDefinitionNode],
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._known: dict[str, Weight] = {}

    def inside(
        self,
        type_: graphql.GraphQLNamedType | None,
        selections: graphql.SelectionSetNode | None,
    ) -> Weight:
        """Return the weight of a selection."""
        if selections is None:
            return Weight()
        weights = [self._weight(type_, node) for node in selections.selections]
        return functools.reduce(Weight.beside, weights, Weight())

    def _weight(
        self, type_: graphql.GraphQLNamedType | None, node: graphql.SelectionNode
    ) -> Weight:
        match node:
            case graphql.FieldNode():
                return self._field(type_, node)
            case graphql.FragmentSpreadNode():
                return self._fragment(node.name.value)
            case graphql.InlineFragmentNode():
                if node.type_condition is not None:
                    type_ = self._schema.get_type(node.type_condition.name.value)
                return self.inside(type_, node.selection_set)
            case _:
                return Weight()

    def _field(self, type_: graphql.GraphQLNamedType | None, node: graphql.FieldNode) -> Weight:
        definition = None
        if graphql.is_composite_type(type_):
            definition = self._schema.get_field(type_, node.name.value)
        if definition is None or node.selection_set is None:
            return Weight(1)
        below = self.inside(graphql.get_named_type(definition.type), node.selection_set)
        if "first" in definition.args:
            return _of_page(definition, node, below)
        is_plain_list = graphql.is_list_type(graphql.get_nullable_type(definition.type))
        # The items of a page are weighed at its connection.
        is_of_page = node.name.value in ("nodes", "edges")
        return _times(_ITEMS if is_plain_list and not is_of_page else 1, below)

    def _fragment(self, name: str) -> Weight:
        if name not in self._known:
            fragment = self._fragments[name]
            type_ = self._schema.get_type(fragment.type_condition.name.value)
            self._known[name] = self.inside(type_, fragment.selection_set)
        return self._known[name]


def _of_page(definition: graphql.GraphQLField, node: graphql.FieldNode, below: Weight) -> Weight:
    def items(bound: binding.Binding) -> int:
        arguments = bound.arguments(definition=definition, node=node)
        asked = arguments.get("first") or arguments.get("last") or pages.DEFAULT_PAGE
        return max(1, int(asked))

    if binding.is_constant(node):
        return _times(items(binding.Binding(variables=_NONE, caller=None)), below)
    return Weight(1, ((items, below),))


def _times(items: int, below: Weight) -> Weight:
    if below.lists:
        return Weight(1, ((lambda _: items, below),))
    return Weight(1 + items * below.fixed)


@dataclasses.dataclass
class _Purse:
    left: float
    at: float


class Purses:
    """What each caller may still spend in this process; a full purse lasts a minute."""

    def __init__(self, *, budget: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._purses: collections.OrderedDict[Hashable, _Purse] = collections.OrderedDict()

    def pay(self, *, payer: Hashable, cost: int) -> None:
        """Take the cost from a purse that fills up steadily. Raises RATE_LIMITED."""
        now = self._clock()
        purse = self._purses.pop(payer, None) or _Purse(left=self._budget, at=now)
        rate = self._budget / _MINUTE
        purse.left = min(self._budget, purse.left + (now - purse.at) * rate)
        purse.at = now
        self._purses[payer] = purse
        if len(self._purses) > _PURSES:
            self._purses.popitem(last=False)
        if purse.left < min(cost, self._budget):
            raise _rate_limited(seconds=math.ceil((min(cost, self._budget) - purse.left) / rate))
        purse.left -= cost

    def reimburse(self, *, payer: Hashable, cost: int) -> None:
        """Put back what was paid for an operation that was not carried out."""
        purse = self._purses.get(payer)
        if purse is not None:
            purse.left += cost


def checked(cost: int, *, allowed: limits.Limits) -> int:
    """Return the cost. Raises LIMIT_EXCEEDED if no operation may cost as much."""
    if cost > allowed.cost:
        raise limits.exceeded(
            f"The operation costs {cost}; at most {allowed.cost} are allowed. Ask for smaller"
            " pages, or in several operations."
        )
    return cost


def _rate_limited(*, seconds: int) -> graphql.GraphQLError:
    return graphql.GraphQLError(
        f"You asked for a lot within a minute. Try again in {seconds} seconds.",
        extensions={"code": "RATE_LIMITED", "retryAfter": seconds},
    )
