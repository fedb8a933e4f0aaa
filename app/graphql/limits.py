"""How much one operation may ask for."""

from typing import Any

import graphql

TOKENS = 2000
BODY = 256 * 1024  # bytes
SECONDS = 10.0
DEPTH = 12


class DepthRule(graphql.ValidationRule):
    """Refuses operations nested deeper than `DEPTH`; introspection does not count.

    Each fragment is measured once, so that the cost is linear in the document.
    """

    def __init__(self, context: graphql.ValidationContext) -> None:
        super().__init__(context)
        self._depths: dict[str, int] = {}

    def enter_operation_definition(
        self,
        node: graphql.OperationDefinitionNode,
        *_arguments: Any,  # noqa: ANN401  as graphql-core calls it
    ) -> None:
        """Measure an operation."""
        depth = self._depth(node.selection_set)
        if depth > DEPTH:
            self.report_error(
                graphql.GraphQLError(
                    f"The operation is {depth} levels deep; at most {DEPTH} are allowed.",
                    nodes=node,
                    extensions={"code": "LIMIT_EXCEEDED"},
                )
            )

    def _depth(self, selection_set: graphql.SelectionSetNode | None) -> int:
        if selection_set is None:
            return 0
        return max((self._depth_of(node) for node in selection_set.selections), default=0)

    def _depth_of(self, node: graphql.SelectionNode) -> int:
        if isinstance(node, graphql.FieldNode):
            is_introspection = node.name.value.startswith("__")
            return 0 if is_introspection else 1 + self._depth(node.selection_set)
        if isinstance(node, graphql.FragmentSpreadNode):
            return self._fragment_depth(node.name.value)
        if isinstance(node, graphql.InlineFragmentNode):
            return self._depth(node.selection_set)
        return 0

    def _fragment_depth(self, name: str) -> int:
        if name not in self._depths:
            self._depths[name] = 0  # a cycle is another rule's error
            fragment = self.context.get_fragment(name)
            self._depths[name] = self._depth(fragment.selection_set) if fragment else 0
        return self._depths[name]
