"""Filters: conditions that hold if the client gave a value."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, LiteralString

from psycopg import sql

from app.graphql.compiler import access, binding, selection, sources
from app.graphql.compiler.compiling import Compiler


@dataclasses.dataclass(frozen=True)
class Filter:
    """A condition that holds if the client gave a value; `value` makes it ready to bind."""

    on: LiteralString
    value: Callable[[Any], object] = lambda given: given


@dataclasses.dataclass(frozen=True)
class Followed:
    """The row that an event concerns, `{event}`, if it is one of those asked for."""

    on: LiteralString
    given: sources.Given = dataclasses.field(default_factory=dict)
    filters: Mapping[str, Filter] = dataclasses.field(default_factory=dict)

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object of the row, or null."""
        type_ = compiler.object_type(field.type.name)
        there = compiler.alias()
        names = sources.template_names(
            self.given, field=field, here=here, there=there, compiler=compiler
        )
        names["event"] = compiler.parameter(lambda bound: bound.given["event"])
        table = sources.rows_of(type_).name
        seen = access.visible(table=table, there=there, compiler=compiler)
        every = [sources.conditions(self.on, names=names, seen=seen)]
        for filter_, value in asked(self.filters, field=field, compiler=compiler):
            every.append(sql.SQL(filter_.on).format(there=there, value=value))
        return sql.SQL("(SELECT {} FROM {} WHERE {})").format(
            compiler.object(type_=type_, field=field, row=there),
            sources.rows_of(type_).from_clause(there),
            sql.SQL(" AND ").join(every),
        )


def asked(
    filters: Mapping[str, Filter], *, field: selection.Field, compiler: Compiler
) -> list[tuple[Filter, sql.Composable]]:
    """Return the filters that the client set, with the placeholders of their values."""
    are_set = compiler.ask(_set_of(field, filters), about=field.nodes[0])
    return [
        (filter_, compiler.parameter(_filter_value(field, name, filter_)))
        for name, filter_ in filters.items()
        if name in are_set
    ]


def _set_of(field: selection.Field, filters: Mapping[str, Filter]) -> Callable[..., frozenset[str]]:
    def names(bound: binding.Binding) -> frozenset[str]:
        given = _given(field, bound)
        return frozenset([name for name in filters if given.get(name) is not None] if given else ())

    return names


def _given(field: selection.Field, bound: binding.Binding) -> Mapping[str, Any]:
    return field.arguments(bound).get("filter") or {}


def _filter_value(field: selection.Field, name: str, filter_: Filter) -> binding.Value:
    return lambda bound: filter_.value(_given(field, bound)[name])
