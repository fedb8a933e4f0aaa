"""Where a field comes from, said beside the type.

    prefix: str = source.column("prefix", description="…")

Adding a field is one line here and one column. Templates are those of `compiler.sources`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString, TypeVar

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument

from app.graphql import identifiers
from app.graphql.compiler import (
    compiling,
    connections,
    cursors,
    documents,
    filtering,
    nodes,
    sources,
)

_T = TypeVar("_T")

Field = Any
"""A strawberry field stands where a value of the annotated type is expected."""

Argument = StrawberryArgument


def rows(*, schema: str, table: str) -> Callable[[type[_T]], type[_T]]:
    """Say which table holds the rows of a type."""

    def mark(cls: type[_T]) -> type[_T]:
        cls.__rows__ = sources.Rows(schema=schema, table=table)  # type: ignore[attr-defined]  # read by compiler.sources.rows_of
        return cls

    return mark


def argument(
    name: str, annotation: object, description: str, *, default: object = strawberry.UNSET
) -> StrawberryArgument:
    """Return an argument that may be left out, if the annotation allows it."""
    return StrawberryArgument(
        python_name=name,
        graphql_name=None,
        type_annotation=StrawberryAnnotation(annotation),
        description=description,
        default=default,
    )


def field(
    source: compiling.Source,
    *,
    description: str,
    arguments: Sequence[StrawberryArgument] = (),
    name: str | None = None,
) -> Field:
    """Return a field with its source."""
    made = strawberry.field(description=description, metadata={"source": source}, name=name)
    made.arguments = list(arguments)
    return made


def column(name: str, *, description: str) -> Field:
    """Return a field from a column."""
    return field(sources.Column(name), description=description)


def sql(template: LiteralString, *, description: str) -> Field:
    """Return a field from an expression over `{here}`."""
    return field(sources.Expression(template), description=description)


def node_id(mark: LiteralString) -> Field:
    """Return the field of the id."""
    return field(
        sources.Expression(f"'{mark}_' || encode(uuid_send({{here}}.id), 'hex')"),
        description="The id: opaque, and the same for ever.",
    )


def embedded(*, description: str, when: LiteralString = "true") -> Field:
    """Return a field for an object made of the row's own columns."""
    return field(sources.Embedded(when=when), description=description)


def one(
    on: LiteralString,
    *,
    description: str,
    rows: LiteralString | None = None,
) -> Field:
    """Return a field for the related row."""
    return field(sources.One(on=on, rows=rows), description=description)


def asked(
    on: LiteralString,
    *,
    description: str,
    given: sources.Given,
    arguments: Sequence[StrawberryArgument],
) -> Field:
    """Return a field for the row that a client asks for."""
    source = sources.One(on=on, given=given, is_outside=True)
    return field(source, description=description, arguments=arguments)


def many(
    on: LiteralString,
    *,
    order: LiteralString,
    description: str,
    rows: LiteralString | None = None,
) -> Field:
    """Return a field for all related rows."""
    return field(sources.Many(on=on, order=order, rows=rows), description=description)


def connection(
    on: LiteralString,
    *,
    orders: Sequence[cursors.Order],
    description: str,
    arguments: Sequence[StrawberryArgument] = (),
    filters: Mapping[str, filtering.Filter] | None = None,
    is_outside: bool = False,
    is_two_way: bool = True,
) -> Field:
    """Return a field for pages of related rows."""
    source = connections.Connection(
        on=on, orders=orders, filters=filters or {}, is_outside=is_outside
    )
    paging = _PAGING if is_two_way else _PAGING[:2]
    return field(source, description=description, arguments=[*arguments, *paging])


def item(name: str, *, description: str) -> Field:
    """Return a field from a value of the document."""
    return field(documents.Item(name), description=description)


def items(name: str, *, description: str) -> Field:
    """Return a field from a list of objects of the document."""
    return field(documents.Items(name), description=description)


def reference(name: str, *, description: str) -> Field:
    """Return a field for the row whose id stands in the document."""
    return field(documents.Reference(name), description=description)


def changed(name: str, *, description: str) -> Field:
    """Return a field for the thing whose id a command gives under `name`."""
    return field(sources.Changed(name), description=description)


def given_document(name: str, *, description: str) -> Field:
    """Return a field for a document that a command gives under `name`."""
    return field(sources.GivenDocument(name), description=description)


def id_of(type_name: str, *way: str) -> Callable[[Mapping[str, Any]], object]:
    """Return what reads the uuid of an id argument; `way` leads to it, `id` if not given."""

    def read(arguments: Mapping[str, Any]) -> object:
        value: Any = arguments
        for step in way or ("id",):
            value = value[step]
        return identifiers.uuid_of(value, type_name=type_name)

    return read


def changed_node(name: str, *, description: str) -> Field:
    """Return a field for the thing whose type and id a command gives under `name`."""
    return field(nodes.ChangedNode(name), description=description)


_PAGING = (
    argument("first", int | None, "How many to return from the start: 1 to 100, 50 if not given."),
    argument("after", str | None, "Return what follows this cursor."),
    argument("last", int | None, "How many to return from the end, 1 to 100."),
    argument("before", str | None, "Return what comes before this cursor."),
)
