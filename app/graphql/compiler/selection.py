"""The fields that an operation selects of a type."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import graphql
from graphql.execution import values

from app.graphql.compiler import binding


class Ask(Protocol):
    """Asks a question about the variables, and remembers the answer."""

    def __call__(
        self, question: binding.Question, *, about: graphql.SelectionNode | None = None
    ) -> object:
        """Return the answer."""
        ...


_BACK_REFERENCE = "strawberry-definition"


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of the answer: its response key, and every node that selects it."""

    key: str
    definition: graphql.GraphQLField
    nodes: tuple[graphql.FieldNode, ...]
    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """The field's name in the schema."""
        return self.nodes[0].name.value

    @property
    def type(self) -> graphql.GraphQLNamedType:
        """The type of the value, without lists and non-null."""
        return graphql.get_named_type(self.definition.type)

    @property
    def selections(self) -> tuple[graphql.SelectionSetNode, ...]:
        """What is selected below the field."""
        return tuple(node.selection_set for node in self.nodes if node.selection_set)

    @property
    def source(self) -> Any:  # noqa: ANN401  sources are the business of the compiler
        """Where the value comes from; None if the statement does not deliver it."""
        definition = self.definition.extensions.get(_BACK_REFERENCE)
        return definition.metadata.get("source") if definition is not None else None

    def arguments(self, bound: binding.Binding) -> Mapping[str, Any]:
        """Return the field's arguments."""
        return bound.arguments(definition=self.definition, node=self.nodes[0])


@dataclasses.dataclass(frozen=True)
class Selector:
    """Collects fields: resolves fragments, merges selections, asks `@skip` and `@include`."""

    schema: graphql.GraphQLSchema
    fragments: Mapping[str, graphql.FragmentDefinitionNode]
    ask: Ask

    def fields(
        self,
        *,
        type_: graphql.GraphQLObjectType,
        selections: Sequence[graphql.SelectionSetNode],
        path: tuple[str, ...],
    ) -> list[Field]:
        """Return the selected fields in the order of the answer."""
        found: dict[str, list[graphql.FieldNode]] = {}
        seen: set[str] = set()
        for selection_set in selections:
            self._collect(type_, selection_set, found, seen)
        return [
            Field(
                key=key,
                definition=self._definition(type_, nodes[0].name.value),
                nodes=tuple(nodes),
                path=(*path, key),
            )
            for key, nodes in found.items()
        ]

    def _collect(
        self,
        type_: graphql.GraphQLObjectType,
        selection_set: graphql.SelectionSetNode,
        found: dict[str, list[graphql.FieldNode]],
        seen: set[str],
    ) -> None:
        for node in selection_set.selections:
            if not self._is_included(node):
                continue
            if isinstance(node, graphql.FieldNode):
                found.setdefault((node.alias or node.name).value, []).append(node)
            elif isinstance(node, graphql.FragmentSpreadNode):
                name = node.name.value
                if name not in seen:
                    seen.add(name)
                    self._collect_fragment(type_, self.fragments[name], found, seen)
            else:
                self._collect_fragment(type_, cast("graphql.InlineFragmentNode", node), found, seen)

    def _collect_fragment(
        self,
        type_: graphql.GraphQLObjectType,
        fragment: graphql.FragmentDefinitionNode | graphql.InlineFragmentNode,
        found: dict[str, list[graphql.FieldNode]],
        seen: set[str],
    ) -> None:
        if self._applies(fragment.type_condition, type_):
            self._collect(type_, fragment.selection_set, found, seen)

    def _applies(
        self, condition: graphql.NamedTypeNode | None, type_: graphql.GraphQLObjectType
    ) -> bool:
        if condition is None or condition.name.value == type_.name:
            return True
        named = self.schema.get_type(condition.name.value)
        return graphql.is_abstract_type(named) and self.schema.is_sub_type(named, type_)

    def _is_included(self, node: graphql.SelectionNode) -> bool:
        if not node.directives:
            return True

        def question(bound: binding.Binding) -> bool:
            skip = values.get_directive_values(graphql.GraphQLSkipDirective, node, bound.variables)
            include = values.get_directive_values(
                graphql.GraphQLIncludeDirective, node, bound.variables
            )
            return not (skip and skip["if"]) and (include is None or bool(include["if"]))

        return bool(self.ask(question, about=node))

    def _definition(self, type_: graphql.GraphQLObjectType, name: str) -> graphql.GraphQLField:
        definition = self.schema.get_field(type_, name)
        if definition is None:
            raise LookupError(f"{type_.name} has no field {name}")
        return definition
