"""How much one operation may ask for.

Measured on the document alone, before anything else looks at it. Each fragment is measured once,
so that the work is linear in the document, however large the fragments make it once written out.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import graphql

_KEY = "limits"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What is allowed; the settings of the same names say what each means."""

    body: int = 256 * 1024
    tokens: int = 2000
    depth: int = 12
    fields: int = 1000
    aliases: int = 30
    directives: int = 50
    page: int = 100
    errors: int = 5
    seconds: float = 10.0
    cost: int = 1_000_000
    budget: int = 20_000_000
    operations: int = 100


@dataclasses.dataclass(frozen=True)
class Size:
    """How large a part of a document is, fragments written out."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0

    def beside(self, other: "Size") -> "Size":
        """Return the size of both, one after the other."""
        return Size(
            depth=max(self.depth, other.depth),
            fields=self.fields + other.fields,
            aliases=self.aliases + other.aliases,
            directives=self.directives + other.directives,
        )


class Measure:
    """Measures the operations of one document."""

    def __init__(self, document: graphql.DocumentNode) -> None:
        self._document = document
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, graphql.FragmentDefinitionNode)
        }
        self._sizes: dict[str, Size] = {}
        self.visited = 0
        """How many selections were looked at."""

    def operations(self) -> Iterator[tuple[graphql.OperationDefinitionNode, Size]]:
        """Return each operation with its size."""
        for node in self._document.definitions:
            if isinstance(node, graphql.OperationDefinitionNode):
                variables = sum(map(_directives, node.variable_definitions or ()))
                around = Size(directives=_directives(node) + variables)
                yield node, around.beside(self._inside(node.selection_set))

    def _inside(self, selections: graphql.SelectionSetNode | None) -> Size:
        if selections is None:
            return Size()
        sizes = map(self._size, selections.selections)
        return functools.reduce(Size.beside, sizes, Size())

    def _size(self, node: graphql.SelectionNode) -> Size:
        self.visited += 1
        around = Size(directives=_directives(node))
        match node:
            case graphql.FieldNode():
                inside = self._inside(node.selection_set)
                # The schema is asked for in depth; a rule of its own bounds that.
                is_introspection = node.name.value.startswith("__")
                depth = 0 if is_introspection else 1 + inside.depth
                inside = dataclasses.replace(inside, depth=depth)
                own = Size(fields=1, aliases=int(node.alias is not None))
                return around.beside(own).beside(inside)
            case graphql.FragmentSpreadNode():
                return around.beside(self._fragment(node.name.value))
            case graphql.InlineFragmentNode():
                return around.beside(self._inside(node.selection_set))
            case _:
                return around

    def _fragment(self, name: str) -> Size:
        if name not in self._sizes:
            self._sizes[name] = Size()  # a cycle is another rule's error
            fragment = self._fragments.get(name)
            if fragment is not None:
                own = Size(directives=_directives(fragment))
                self._sizes[name] = own.beside(self._inside(fragment.selection_set))
        return self._sizes[name]


def problems(document: graphql.DocumentNode, *, limits: Limits) -> list[graphql.GraphQLError]:
    """Return an error for each operation that is too large, naming the first limit it breaks."""
    found = []
    for operation, size in Measure(document).operations():
        for name, what in _WHAT.items():
            measured, allowed = getattr(size, name), getattr(limits, name)
            if measured > allowed:
                message = f"The operation {what.format(measured)}; at most {allowed} are allowed."
                found.append(exceeded(message, node=operation))
                break
    return found


def impose(allowed: Limits, *, schema: graphql.GraphQLSchema) -> None:
    """Let a schema know its limits."""
    schema.extensions[_KEY] = allowed


def of(schema: graphql.GraphQLSchema) -> Limits:
    """Return the limits of a schema."""
    allowed: Limits = schema.extensions[_KEY]
    return allowed


def exceeded(message: str, *, node: graphql.Node | None = None) -> graphql.GraphQLError:
    """Return the error of something that is too large."""
    return graphql.GraphQLError(message, nodes=node, extensions={"code": "LIMIT_EXCEEDED"})


_WHAT = {
    "depth": "is {} levels deep",
    "fields": "selects {} fields, fragments written out",
    "aliases": "gives {} aliases, fragments written out",
    "directives": "holds {} directives, fragments written out",
}


def _directives(node: Any) -> int:  # noqa: ANN401  every kind of node that may hold some
    return len(node.directives or ())
