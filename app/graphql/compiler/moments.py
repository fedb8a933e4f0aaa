"""A service instance as it was: the row of then in the place of the table's."""

import dataclasses
from typing import Any
from uuid import UUID

from psycopg import sql

from app.graphql.compiler import access, binding, selection, sources
from app.graphql.compiler.compiling import Compiler

SERVICE_INSTANCE_AT = "service_instance_at"
"""The preparation whose request is a `Then`, and whose value is the JSON text of a row."""


@dataclasses.dataclass(frozen=True)
class Then:
    """A service instance at a moment: `at` holds a `position` or a `time`."""

    id: UUID | None
    at: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class AtMoment:
    """The row that a client asks for, now or as it was `at` a moment."""

    given: sources.Given

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object of the row."""
        if compiler.ask(lambda bound: field.arguments(bound).get("at") is None) is True:
            now = sources.One("{there}.id = {id}::uuid", given=self.given, is_outside=True)
            return now.expression(field=field, here=here, compiler=compiler)
        id_of = self.given["id"]

        def then(bound: binding.Binding) -> Then:
            arguments = field.arguments(bound)
            id_ = id_of(arguments)
            return Then(id=id_ if isinstance(id_, UUID) else None, at=arguments["at"])

        type_ = compiler.object_type(field.type.name)
        there = compiler.alias()
        rows = sources.rows_of(type_)
        seen = access.visible(table=rows.name, there=there, compiler=compiler)
        return sql.SQL(
            "(SELECT {} FROM jsonb_populate_record(NULL::{}, {}::jsonb) AS {} WHERE {})"
        ).format(
            compiler.object(type_=type_, field=field, row=there),
            sql.Identifier(rows.schema, rows.table),
            compiler.prepared(kind=SERVICE_INSTANCE_AT, request=then),
            there,
            sources.conditions("{there}.id IS NOT NULL", names={"there": there}, seen=seen),
        )
