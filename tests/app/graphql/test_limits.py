"""Limits hold for documents of every shape, and finding out costs no more than reading them."""

from pathlib import Path

import graphql
import pytest

from app import asgi
from app.graphql import costs, limits
from app.graphql.compiler import binding
from tests.app.graphql.asking import OPERATOR, Api, Shop

TOUR = Path(__file__).parents[3] / "app/graphiql/web/tour.graphql"


def doubling(levels: int) -> str:
    """Return a small document that is enormous once its fragments are written out."""
    fragments = " ".join(
        f"fragment F{n} on Query{{a:__typename ...F{n + 1} b:__typename ...F{n + 1}}}"
        for n in range(levels)
    )
    return f"{{...F0}} {fragments} fragment F{levels} on Query{{__typename}}"


def measured(text: str) -> tuple[limits.Size, int]:
    measure = limits.Measure(graphql.parse(text))
    [(_, size)] = measure.operations()
    return size, measure.visited


def test_doubling_fragments_are_measured_in_as_many_steps_as_there_are_selections() -> None:
    size, steps = measured(doubling(12))
    larger, more_steps = measured(doubling(24))

    assert len(doubling(12)) < 800
    assert size.fields > 2**13
    assert larger.fields > 2**25
    assert (steps, more_steps) == (12 * 4 + 2, 24 * 4 + 2)


def test_cycles_of_fragments_are_measured_too() -> None:
    size, _ = measured("{...A} fragment A on Query{x:__typename ...B} fragment B on Query{...A}")

    assert size.fields == 1


def test_size_counts_what_fragments_hold() -> None:
    size, _ = measured(
        "query @a { x: project(id: 1) @b { ...P ... on Project @c { name } } }"
        " fragment P on Project @d { y: environments { id } }"
    )

    assert size == limits.Size(depth=3, fields=4, aliases=2, directives=4)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("levels deep", "{ a" + " { b { c" * 6 + "{ id }" + "} }" * 6 + "}"),
        ("fields", "{" + " __typename" * 1001 + "}"),
        ("aliases", "{" + " ".join(f"a{n}: __typename" for n in range(31)) + "}"),
        ("directives", "{ __typename" + " @skip(if: false)" * 51 + "}"),
        ("fields", doubling(12)),
    ],
)  # fmt: skip
def test_each_limit_is_told(what: str, text: str) -> None:
    [problem] = limits.problems(graphql.parse(text), limits=limits.Limits())

    assert what in problem.message
    assert problem.extensions == {"code": "LIMIT_EXCEEDED"}


@pytest.mark.parametrize(
    "options",
    [
        {},  # Apollo
        {"descriptions": True, "specified_by_url": True, "directive_is_repeatable": True,
         "schema_description": True, "input_value_deprecation": True},  # GraphiQL
        {"input_value_deprecation": True, "specified_by_url": True},  # graphql-codegen
    ],
)  # fmt: skip
def test_introspection_of_the_tools_is_within_the_limits(options: dict[str, bool]) -> None:
    document = graphql.parse(graphql.get_introspection_query(**options))

    assert limits.problems(document, limits=limits.Limits()) == []


def test_tour_is_within_the_limits() -> None:
    assert limits.problems(graphql.parse(TOUR.read_text()), limits=limits.Limits()) == []


def cost(text: str, **variables: object) -> int:
    schema = asgi._schema()._schema
    document = graphql.parse(text)
    operation = graphql.get_operation_ast(document)
    assert operation is not None
    fragments = {
        each.name.value: each
        for each in document.definitions
        if isinstance(each, graphql.FragmentDefinitionNode)
    }
    coerced = graphql.execution.values.get_variable_values(
        schema, operation.variable_definitions or (), variables
    )
    assert not isinstance(coerced, list)
    bound = binding.Binding(variables=coerced, caller=None)
    return costs.weight(schema=schema, operation=operation, fragments=fragments).of(bound)


def test_cost_multiplies_by_the_pages_that_are_asked_for() -> None:
    text = "query ($n: Int) { projects(first: $n) { nodes { id name } } }"

    assert cost(text, n=10) == 1 + 10 * 3
    assert cost(text, n=100) == 1 + 100 * 3
    assert cost(text) == 1 + 50 * 3
    assert cost("{ __typename }") == 1
    assert cost("query ($n: Int) { ...P } fragment P on Query { projects(first: $n) {"
                " nodes { environments { id } } } }", n=2) == 1 + 2 * (1 + 1 + 10)  # fmt: skip


def test_purses_fill_up_again() -> None:
    now = 0.0
    purses = costs.Purses(budget=600, clock=lambda: now)

    purses.pay(payer="ada", cost=600)
    purses.pay(payer="grace", cost=600)
    with pytest.raises(graphql.GraphQLError) as refused:
        purses.pay(payer="ada", cost=100)
    now = 10.0
    purses.pay(payer="ada", cost=100)

    assert refused.value.extensions == {"code": "RATE_LIMITED", "retryAfter": 10}


@pytest.mark.anyio
async def test_most_expensive_operation_is_refused_before_anything_is_read(api: Api) -> None:
    text = """{ projects(first: 100) { nodes { environments {
      serviceInstances(first: 100) { nodes { history(first: 100) { nodes {
      sentence } } } } } } } }"""

    codes = await api.codes(text)

    assert codes == ["LIMIT_EXCEEDED"]
    assert api.statements == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{ project { name } }", {}),
        ("{ proyect(id: 1) { name } }", {}),
        ("{ project(id: 1) { nam } }", {}),
        ("{ project(idd: 1) { name } }", {}),
        ("query ($id: Id!) { project(id: $id) { name } }", {}),
        ("{ projects(orderBy: NAME_AS) { nodes { id } } }", {}),
        ("query ($o: ProjectOrder) { projects(orderBy: $o) { nodes { id } } }", {"o": "NAME_AS"}),
        ("{ __typename @skp(if: true) }", {}),
        ("{ ... on Projekt { id } }", {}),
        ("mutation { createProject(input: {nam: 1}) { __typename } }", {}),
    ],
)
async def test_nobody_is_told_names_that_nobody_asked_for(
    api: Api, text: str, variables: dict[str, object]
) -> None:
    answer = await api.answer(text, **variables)

    assert answer.errors
    assert not [error for error in answer.errors if "id you mean" in error.message]


@pytest.mark.anyio
async def test_five_errors_are_enough(api: Api) -> None:
    answer = await api.answer("{" + " ".join(f"nothing{n}" for n in range(20)) + "}")

    assert len(answer.errors or ()) == 5


@pytest.mark.anyio
@pytest.mark.parametrize(
    "text",
    [
        "{a" * 900 + "}" * 900,
        "{ project(id: " + "[" * 900 + "]" * 900 + ") { id } }",
        "query ($a: " + "[" * 900 + "Int" + "]" * 900 + ") { __typename }",
        "{" + "... { " * 600 + "__typename" + "}" * 600 + "}",
        "{" + " __typename" * 2001 + "}",
    ],
)  # fmt: skip
async def test_what_is_nested_too_deeply_is_refused(api: Api, text: str) -> None:
    assert set(await api.codes(text)) <= {"LIMIT_EXCEEDED", "BAD_USER_INPUT"}


@pytest.mark.anyio
async def test_time_is_limited_over_streams_too(api: Api, shop: Shop) -> None:
    schema = asgi._schema(limits.Limits(seconds=0.2))
    text = "query ($id: ID!) { project(id: $id) { name } }"
    async with api.parts.pool.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE read.projects IN ACCESS EXCLUSIVE MODE")
        stream = await schema.stream(
            text,
            variable_values={"id": shop.id("project")},
            context_value=api.context(OPERATOR),
        )
        [result] = [each async for each in stream]

    assert [error.extensions["code"] for error in result.errors] == ["TIMEOUT"]
