"""Arguments become what strawberry itself makes of them."""

import enum
from typing import Any

import graphql
import pytest
import strawberry
from strawberry.types.arguments import convert_arguments

from app import asgi
from app.graphql import conversion
from app.graphql.compiler import selection

SCHEMA = asgi._schema()
CORE = SCHEMA._schema
FIELDS = {
    f"{type_.name}.{name}": definition
    for type_ in (CORE.query_type, CORE.mutation_type)
    for name, definition in type_.fields.items()
    if definition.args
}


def values_of(type_: graphql.GraphQLInputType, *, which: str) -> Any:  # noqa: ANN401  any input
    """Return a value with all of its parts, with those that it must have, or with nulls."""
    if not graphql.is_non_null_type(type_) and which == "nulls":
        return None
    match graphql.get_nullable_type(type_):
        case graphql.GraphQLInputObjectType() as found:
            return {
                name: values_of(field.type, which=which)
                for name, field in found.fields.items()
                if which != "least" or graphql.is_non_null_type(field.type)
            }
        case graphql.GraphQLList(of_type=item):
            return [values_of(item, which=which), values_of(item, which=which)]
        case graphql.GraphQLEnumType() as found:
            return next(iter(found.values.values())).value
        case _:
            return "any"


@pytest.mark.parametrize("which", ["all", "least", "nulls"])
@pytest.mark.parametrize("name", FIELDS)
def test_as_strawberry_does(name: str, which: str) -> None:
    definition = FIELDS[name]
    given = {
        argument: values_of(each.type, which=which)
        for argument, each in definition.args.items()
        if which != "least" or graphql.is_non_null_type(each.type)
    }
    expected = convert_arguments(
        dict(given),
        definition.extensions["strawberry-definition"].arguments,
        SCHEMA.schema_converter.scalar_registry,
        SCHEMA.config,
    )

    made = conversion.Conversion()
    for _ in range(2):
        assert made.arguments(field(definition), given) == expected


def test_an_input_may_hold_itself_and_lists_are_its_own() -> None:
    schema = strawberry.Schema(query=Query)._schema
    definition = schema.query_type.fields["depth"]
    lists: list[Any] = [{"color": Color.RED, "items": None, "below": []}]
    given = {"tree": {"color": Color.RED, "items": ["a"], "below": lists}}

    found = conversion.Conversion().arguments(field(definition), given)

    below = Tree(color=Color.RED, items=None, below=[])
    assert found == {"tree": Tree(color=Color.RED, items=["a"], below=[below])}
    assert found["tree"].items is not given["tree"]["items"]


class Color(enum.Enum):
    RED = 1


@strawberry.input
class Tree:
    color: strawberry.enum(Color)
    items: list[str] | None = strawberry.UNSET
    below: list["Tree"]


@strawberry.type
class Query:
    @strawberry.field
    def depth(self, tree: Tree) -> int:
        return len(tree.below)


def field(definition: graphql.GraphQLField) -> selection.Field:
    return selection.Field(key="any", definition=definition, nodes=(), path=())
