"""Documents that ask for everything there is, made from the schema."""

from collections.abc import Iterator

import graphql

from app import asgi

SCHEMA = asgi._schema()._schema

Pair = tuple[str, str]
_WRAPPERS = ("Connection", "Edge")


def roots(type_: graphql.GraphQLObjectType | None) -> dict[str, graphql.GraphQLField]:
    assert type_ is not None
    return type_.fields


def documents(name: str, arguments: str = "", *, covered: set[Pair] | None = None) -> Iterator[str]:
    """Yield queries of a root field: one, or one for each type that it may return."""
    named = graphql.get_named_type(roots(SCHEMA.query_type)[name].type)
    seen = set[Pair]() if covered is None else covered
    is_list = named.name.endswith(_WRAPPERS)
    if isinstance(named, graphql.GraphQLInterfaceType):
        for each in SCHEMA.get_possible_types(named):
            below = _selection(each, depth=1, path=(), covered=seen)
            yield f"{{ {name}{arguments} {{ __typename id ... on {each.name} {below} }} }}"
    else:
        below = _selection(named, depth=1 if is_list else 2, path=(), covered=seen)
        yield f"{{ {name}{arguments} {below} }}"


def pairs() -> set[Pair]:
    """Return every field of every type that can be read below a root."""
    doors = (SCHEMA.query_type, SCHEMA.mutation_type, SCHEMA.subscription_type)
    return {
        (type_.name, name)
        for type_ in SCHEMA.type_map.values()
        if isinstance(type_, graphql.GraphQLObjectType)
        and not type_.name.startswith("__")
        and not type_.name.endswith(("Success", "Refusal"))
        and type_ not in doors
        and type_.name not in ("RevealedVariable", "InputProblem")
        for name in type_.fields
    }


def _selection(
    named: graphql.GraphQLNamedType, *, depth: int, path: tuple[str, ...], covered: set[Pair]
) -> str:
    """Return a selection of all leaves, and of objects so many levels down."""
    if not isinstance(named, graphql.GraphQLObjectType):
        return "{ __typename }" if graphql.is_composite_type(named) else ""
    is_wrapper = named.name.endswith(_WRAPPERS)
    parts = ["__typename"]
    for name, field in named.fields.items():
        type_ = graphql.get_named_type(field.type)
        below = ""
        if graphql.is_composite_type(type_):
            if type_.name in path or (depth == 0 and not is_wrapper and type_.name != "PageInfo"):
                continue
            is_brief = is_wrapper and name == "nodes"
            below = (
                "{ __typename }"
                if is_brief
                else _selection(
                    type_,
                    depth=depth if is_wrapper else depth - 1,
                    path=(*path, named.name),
                    covered=covered,
                )
            )
        covered.add((named.name, name))
        parts.append(f"{name} {below}")
    return f"{{ {' '.join(parts)} }}"
