"""Where the value of a field comes from: columns, expressions, related rows.

Templates name the row at hand `{here}`, the related rows `{there}`, and values by the names
under which they are `given`; a value is bound, never written into the statement.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, LiteralString, cast

import graphql
from psycopg import sql

from app.graphql.compiler import access, positions, selection
from app.graphql.compiler.compiling import Compiler

Given = Mapping[str, Callable[[Mapping[str, Any]], object]]
"""Values of a template by name, each from the arguments of the field."""

_FORMATS: Mapping[str, LiteralString] = {
    "DateTime": """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
}


def formatted(field: selection.Field, expression: sql.Composable) -> sql.Composable:
    """Return the expression as the type of the field writes it."""
    if field.type.name == "Position":
        return positions.place(expression)
    template = _FORMATS.get(field.type.name)
    return expression if template is None else sql.SQL(template).format(expression)


@dataclasses.dataclass(frozen=True)
class Rows:
    """The table of a type."""

    schema: str
    table: str

    @property
    def name(self) -> str:
        """The full name of the table."""
        return f"{self.schema}.{self.table}"

    def from_clause(self, there: sql.Composable) -> sql.Composable:
        """Return the table under an alias."""
        return sql.SQL("{} AS {}").format(sql.Identifier(self.schema, self.table), there)


def rows_of(type_: graphql.GraphQLNamedType) -> Rows:
    """Return where the rows of a type are."""
    definition = type_.extensions["strawberry-definition"]
    return cast("Rows", definition.origin.__rows__)


def recorded(rows: Rows, document: sql.Composable, there: sql.Composable) -> sql.Composable:
    """Return the rows of a table from a JSON list of them."""
    return sql.SQL("jsonb_populate_recordset(NULL::{}, {}::jsonb) AS {}").format(
        sql.Identifier(rows.schema, rows.table), document, there
    )


def table(
    type_: graphql.GraphQLNamedType, *, there: sql.Composable, compiler: Compiler
) -> sql.Composable:
    """Return the rows of a type: its table, or what replaces that."""
    rows = rows_of(type_)
    replaced = compiler.replaced.get(rows.name)
    return rows.from_clause(there) if replaced is None else recorded(rows, replaced(), there)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the row."""

    name: str

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the column, as its type is written."""
        del compiler
        column = sql.SQL("{}.{}").format(here, sql.Identifier(self.name))
        return formatted(field, column)


@dataclasses.dataclass(frozen=True)
class Expression:
    """An expression over the row."""

    template: LiteralString

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the expression, as its type is written."""
        del compiler
        return formatted(field, sql.SQL(self.template).format(here=here))


@dataclasses.dataclass(frozen=True)
class Embedded:
    """An object made of the row's own columns; null unless `when`."""

    when: LiteralString = "true"

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object."""
        type_ = compiler.object_type(field.type.name)
        tree = compiler.object(type_=type_, field=field, row=here)
        if self.when == "true":
            return tree
        when = sql.SQL(self.when).format(here=here)
        return sql.SQL("(CASE WHEN {} THEN {} END)").format(when, tree)


@dataclasses.dataclass(frozen=True)
class One:
    """The related row that fulfils `on`, or null; `rows` replaces the table of its type.

    With `is_outside`, the row is asked for from outside, and access decides too.
    """

    on: LiteralString
    rows: LiteralString | None = None
    given: Given = dataclasses.field(default_factory=dict)
    is_outside: bool = False

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object of the row."""
        type_ = compiler.object_type(field.type.name)
        there = compiler.alias()
        names = template_names(self.given, field=field, here=here, there=there, compiler=compiler)
        return sql.SQL("(SELECT {} FROM {} WHERE {})").format(
            compiler.object(type_=type_, field=field, row=there),
            from_clause(self.rows, type_=type_, names=names, compiler=compiler),
            conditions(
                self.on,
                names=names,
                seen=access.visible(table=rows_of(type_).name, there=there, compiler=compiler)
                if self.is_outside
                else None,
            ),
        )


@dataclasses.dataclass(frozen=True)
class Many:
    """All related rows, in order; for the few only, others are pages of a connection."""

    on: LiteralString
    order: LiteralString
    rows: LiteralString | None = None

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the list of objects."""
        type_ = compiler.object_type(field.type.name)
        there, listed = compiler.alias(), compiler.alias()
        names = {"here": here, "there": there}
        return sql.SQL(
            "(SELECT coalesce(json_agg({listed}.tree), '[]'::json) FROM"
            " (SELECT {tree} AS tree FROM {rows} WHERE {on} ORDER BY {order}) AS {listed})"
        ).format(
            listed=listed,
            tree=compiler.object(type_=type_, field=field, row=there),
            rows=from_clause(self.rows, type_=type_, names=names, compiler=compiler),
            on=sql.SQL(self.on).format(**names),
            order=sql.SQL(self.order).format(**names),
        )


@dataclasses.dataclass(frozen=True)
class Either:
    """One of several sources: the one named like the key that the argument holds."""

    argument: str
    options: Mapping[str, One]

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return what the chosen source returns."""
        chosen = compiler.ask(
            lambda bound: next(iter(field.arguments(bound)[self.argument])), about=field.nodes[0]
        )
        source = self.options[str(chosen)]
        return source.expression(field=field, here=here, compiler=compiler)


@dataclasses.dataclass(frozen=True)
class GivenDocument:
    """The object of a document that was given under `name` beside the operation, as JSON text."""

    name: str

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object."""
        del here
        name = self.name
        there = compiler.alias()
        return sql.SQL("(SELECT {} FROM (SELECT {}::jsonb AS document) AS {})").format(
            compiler.object(type_=compiler.object_type(field.type.name), field=field, row=there),
            compiler.parameter(lambda bound: bound.given.get(name)),
            there,
        )


@dataclasses.dataclass(frozen=True)
class Changed:
    """The row whose id was given under `name` beside the operation: what a command changed."""

    name: str

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object of the row."""
        del here
        type_ = compiler.object_type(field.type.name)
        there = compiler.alias()
        name = self.name
        return sql.SQL("(SELECT {} FROM {} WHERE {}.id = {}::uuid)").format(
            compiler.object(type_=type_, field=field, row=there),
            rows_of(type_).from_clause(there),
            there,
            compiler.parameter(lambda bound: bound.given.get(name)),
        )


def template_names(
    given: Given,
    *,
    field: selection.Field,
    here: sql.Composable | None,
    there: sql.Composable,
    compiler: Compiler,
) -> dict[str, sql.Composable | None]:
    """Return what the names of a template stand for."""
    names: dict[str, sql.Composable | None] = {"here": here, "there": there}
    for name, value in given.items():
        names[name] = compiler.parameter(
            lambda bound, value=value: value(field.arguments(bound))  # type: ignore[misc]  # a default binds the loop's value
        )
    return names


def from_clause(
    rows: LiteralString | None,
    *,
    type_: graphql.GraphQLNamedType,
    names: Mapping[str, sql.Composable | None],
    compiler: Compiler,
) -> sql.Composable:
    """Return the rows of a template, or those of the type."""
    if rows is not None:
        return sql.SQL(rows).format(**names)
    return table(type_, there=cast("sql.Composable", names["there"]), compiler=compiler)


def conditions(
    on: LiteralString,
    *,
    names: Mapping[str, sql.Composable | None],
    seen: sql.Composable | None,
) -> sql.Composable:
    """Return the condition of a relation, with what is `seen` if it is asked from outside."""
    every: list[sql.Composable] = [sql.SQL(on).format(**names)]
    if seen is not None:
        every.append(seen)
    return sql.SQL(" AND ").join(every)
