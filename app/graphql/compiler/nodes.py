"""Things of any type, found by id."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from psycopg import sql

from app.graphql.compiler import access, binding, selection, sources
from app.graphql.compiler.compiling import Compiler

Parse = Callable[[str], tuple[str, UUID] | None]
"""Reads an id: the name of the type, and the uuid; None if it is no id."""


@dataclasses.dataclass(frozen=True)
class Node:
    """The thing that the argument `id` names."""

    parse: Parse

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object, or null."""
        del here

        def found(bound: binding.Binding) -> tuple[str, UUID] | None:
            return self.parse(field.arguments(bound)["id"])

        type_name = compiler.ask(lambda bound: (found(bound) or (None,))[0], about=field.nodes[0])
        if type_name is None:
            return sql.SQL("NULL::json")
        id_ = compiler.parameter(lambda bound: (found(bound) or (None, None))[1])
        return _tree(type_name, sql.SQL("{}::uuid").format(id_), field, compiler, is_outside=True)


@dataclasses.dataclass(frozen=True)
class Nodes:
    """The things that the argument `ids` names, each in its place."""

    parse: Parse
    type_names: tuple[str, ...]
    limit: int

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the list of objects and nulls."""
        del here

        def found(bound: binding.Binding) -> list[tuple[str, UUID] | tuple[None, None]]:
            ids = field.arguments(bound)["ids"]
            if len(ids) > self.limit:
                raise binding.bad_input(
                    f"{len(ids)} ids; at most {self.limit} can be asked for at once.",
                    node=field.nodes[0],
                )
            return [self.parse(each) or (None, None) for each in ids]

        there = compiler.alias()
        id_ = sql.SQL("{}.id").format(there)
        cases = [
            sql.SQL("WHEN {} THEN {}").format(
                sql.Literal(name), _tree(name, id_, field, compiler, is_outside=True)
            )
            for name in self.type_names
        ]
        return sql.SQL(
            "(SELECT coalesce(json_agg(CASE {there}.type {cases} END ORDER BY {there}.place),"
            " '[]'::json) FROM unnest({types}::text[], {ids}::uuid[])"
            " WITH ORDINALITY AS {there}(type, id, place))"
        ).format(
            there=there,
            cases=sql.SQL(" ").join(cases),
            types=compiler.parameter(lambda bound: [name for name, _ in found(bound)]),
            ids=compiler.parameter(lambda bound: [each for _, each in found(bound)]),
        )


@dataclasses.dataclass(frozen=True)
class Whichever:
    """The thing of one of the types whose id is in a column."""

    column: str
    type_names: tuple[str, ...]

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object, or null."""
        id_ = sql.SQL("{}.{}").format(here, sql.Identifier(self.column))
        trees = [_tree(name, id_, field, compiler, is_outside=False) for name in self.type_names]
        return sql.SQL("coalesce({})").format(sql.SQL(", ").join(trees))


@dataclasses.dataclass(frozen=True)
class ChangedNode:
    """The thing of the type and id that were given beside the operation."""

    name: str

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object, or null."""
        del here
        name = self.name

        def found(bound: binding.Binding) -> tuple[str, UUID] | tuple[None, None]:
            given: Any = bound.given.get(name)
            return given or (None, None)

        type_name = compiler.ask(lambda bound: found(bound)[0])
        if type_name is None:
            return sql.SQL("NULL::json")
        id_ = sql.SQL("{}::uuid").format(compiler.parameter(lambda bound: found(bound)[1]))
        return _tree(type_name, id_, field, compiler, is_outside=False)


def _tree(
    type_name: str,
    id_: sql.Composable,
    field: selection.Field,
    compiler: Compiler,
    *,
    is_outside: bool,
) -> sql.Composable:
    type_ = compiler.object_type(type_name)
    there = compiler.alias()
    names: Mapping[str, sql.Composable | None] = {"there": there, "id": id_}
    seen = None
    if is_outside:
        table = sources.rows_of(type_).name
        seen = access.visible(table=table, there=there, compiler=compiler)
    return sql.SQL("(SELECT {} FROM {} WHERE {})").format(
        compiler.object(type_=type_, field=field, row=there, is_typed=True),
        sources.rows_of(type_).from_clause(there),
        sources.conditions("{there}.id = {id}", names=names, seen=seen),
    )
