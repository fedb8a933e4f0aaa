"""The tour, as the editor shows it, against the schema that we publish."""

import json
import re
from pathlib import Path

import graphql
import pytest

_ROOT = Path(__file__).parents[3]
_WEB = _ROOT / "app" / "graphiql" / "web"
_TOUR = graphql.parse((_WEB / "tour.graphql").read_text(encoding="utf-8"))
_OPERATIONS = [
    node for node in _TOUR.definitions if isinstance(node, graphql.OperationDefinitionNode)
]


def _name(operation: graphql.OperationDefinitionNode) -> str:
    return operation.name.value if operation.name else "unnamed"


@pytest.mark.parametrize("operation", _OPERATIONS, ids=_name)
def test_every_step_of_the_tour_is_valid(operation: graphql.OperationDefinitionNode) -> None:
    schema = graphql.build_schema((_ROOT / "schema.graphql").read_text(encoding="utf-8"))
    alone = graphql.DocumentNode(definitions=(operation,))

    assert graphql.validate(schema, alone) == []


def test_every_step_has_a_name_of_its_own() -> None:
    names = [_name(operation) for operation in _OPERATIONS]

    assert "unnamed" not in names
    assert len(set(names)) == len(names)


def test_every_mutation_of_the_tour_shows_its_refusal() -> None:
    mutations = [
        operation
        for operation in _OPERATIONS
        if operation.operation is graphql.OperationType.MUTATION
    ]

    assert [_name(m) for m in mutations if "... on Refusal {" not in graphql.print_ast(m)] == []


def test_the_variables_are_those_that_the_tour_uses() -> None:
    text = (_WEB / "tour.variables.jsonc").read_text(encoding="utf-8")
    offered = json.loads(re.sub(r"//.*", "", text))

    used = {
        definition.variable.name.value
        for operation in _OPERATIONS
        for definition in operation.variable_definitions or ()
    }
    assert used == set(offered)


def test_the_tour_fits_into_the_editor_of_a_small_screen() -> None:
    text = (_WEB / "tour.graphql").read_text(encoding="utf-8")

    assert [line for line in text.splitlines() if len(line) > 50] == []
