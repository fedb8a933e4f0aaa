"""What was: rows of then in the place of the tables', and what is different since."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, cast
from uuid import UUID

from psycopg import sql

from app.graphql.compiler import access, binding, compiling, selection, sources
from app.graphql.compiler.compiling import Compiler

ROWS_THEN = "rows_then"
"""The preparation whose request is a `Then`, and whose value is a JSON list of rows."""

DIFFERENCE = "difference"
"""The preparation whose request is a `Difference`, and whose value is a JSON document."""

Key = UUID | tuple[UUID, str] | None
"""An id, or the project and the name of an environment; None for what cannot be."""

Moment = Mapping[str, Any]
"""Holds a `position` or a `time`."""


@dataclasses.dataclass(frozen=True)
class Then:
    """The row of a table at a moment; with `is_below`, the rows of the environment there."""

    table: str
    key: Key
    at: Moment
    is_below: bool


@dataclasses.dataclass(frozen=True)
class Difference:
    """What is different in a thing between two moments; up to now if there is but one."""

    type_name: str
    id: UUID
    since: Moment
    until: Moment | None


@dataclasses.dataclass(frozen=True)
class AtMoment:
    """The row that a client asks for, now or as it was `at` a moment.

    Then the tables `below` are those of the moment too, wherever the row leads.
    """

    now: compiling.Source
    key: Callable[[Mapping[str, Any]], Key]
    below: tuple[str, ...] = ()

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object of the row."""
        can_be_then = any(
            argument.name.value == "at" for argument in field.nodes[0].arguments or ()
        )
        if not can_be_then or compiler.ask(
            lambda bound: field.arguments(bound).get("at") is None, about=field.nodes[0]
        ):
            return self.now.expression(field=field, here=here, compiler=compiler)

        def prepared(table: str, *, is_below: bool) -> sql.Composable:
            def then(bound: binding.Binding) -> Then:
                given = field.arguments(bound)
                return Then(table, self.key(given), at=given["at"], is_below=is_below)

            return compiler.prepared(kind=ROWS_THEN, request=then)

        type_ = compiler.object_type(field.type.name)
        there, rows = compiler.alias(), sources.rows_of(type_)
        seen = access.visible(table=rows.name, there=there, compiler=compiler)
        own = prepared(rows.table, is_below=False)
        # Only what is selected is read.
        below = {
            f"read.{table}": functools.cache(functools.partial(prepared, table, is_below=True))
            for table in self.below
        }
        with compiler.replacing(below):
            tree = compiler.object(type_=type_, field=field, row=there)
        return sql.SQL("(SELECT {} FROM {} WHERE {})").format(
            tree, sources.recorded(rows, own, there), seen
        )


@dataclasses.dataclass(frozen=True)
class Differing:
    """What is different in the thing of an id between two moments, if the caller sees it."""

    parse: Callable[[str], tuple[str, UUID] | None]
    type_names: tuple[str, ...]

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object of the difference, or null."""
        del here

        def found(bound: binding.Binding) -> tuple[str, UUID] | tuple[None, None]:
            read = self.parse(field.arguments(bound)["id"])
            return read if read is not None and read[0] in self.type_names else (None, None)

        type_name = compiler.ask(lambda bound: found(bound)[0], about=field.nodes[0])
        type_ = compiler.object_type(field.type.name)
        there, subject = compiler.alias(), compiler.alias()
        tree = compiler.object(type_=type_, field=field, row=there)
        if type_name is None:
            return sql.SQL("NULL::json")

        def difference(bound: binding.Binding) -> Difference:
            given = field.arguments(bound)
            id_ = cast("UUID", found(bound)[1])
            return Difference(type_name, id_, since=given["from"], until=given.get("to"))

        rows = sources.rows_of(compiler.object_type(type_name))
        return sql.SQL(
            "(SELECT {} FROM (SELECT {}::jsonb AS document) AS {}"
            " WHERE EXISTS (SELECT 1 FROM {} WHERE {}.id = {}::uuid AND {}))"
        ).format(
            tree,
            compiler.prepared(kind=DIFFERENCE, request=difference),
            there,
            rows.from_clause(subject),
            subject,
            compiler.parameter(lambda bound: found(bound)[1]),
            access.visible(table=rows.name, there=subject, compiler=compiler),
        )
