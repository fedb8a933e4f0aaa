"""Connections: keyset pages, forwards and backwards.

One more row than asked for is fetched, so that the page knows whether another one follows.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, LiteralString, cast

import graphql
from psycopg import sql

from app.graphql import limits
from app.graphql.compiler import access, binding, compiling, cursors, filtering, selection, sources
from app.graphql.compiler.compiling import Compiler

DEFAULT_PAGE = 50


@dataclasses.dataclass(frozen=True)
class Page:
    """The shape of a page."""

    is_backward: bool
    has_after: bool
    has_before: bool


@dataclasses.dataclass(frozen=True)
class Connection:
    """Pages of related rows in one of the `orders`, the first one if nothing is asked for."""

    on: LiteralString
    orders: Sequence[cursors.Order]
    filters: Mapping[str, filtering.Filter] = dataclasses.field(default_factory=dict)
    is_outside: bool = False

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object of the connection."""
        return _Paging(connection=self, field=field, here=here, compiler=compiler).expression()


class _Paging:
    """One connection being compiled."""

    def __init__(
        self,
        *,
        connection: Connection,
        field: selection.Field,
        here: sql.Composable | None,
        compiler: Compiler,
    ) -> None:
        self.connection = connection
        self.field = field
        self.here = here
        self.compiler = compiler
        self.type = compiler.object_type(field.type.name)
        self.node_type = cast(
            "graphql.GraphQLObjectType",
            graphql.get_named_type(self.type.fields["nodes"].type),
        )
        compiler.types.add(self.node_type.name)  # a list tells of its rows, if only their number
        largest = limits.of(compiler.schema).page
        self.page = cast("Page", compiler.ask(lambda bound: _page(field, bound, largest)))
        self.order = self._order()
        self.filters = filtering.asked(connection.filters, field=field, compiler=compiler)
        self.limit = compiler.parameter(lambda bound: _limit(field, bound, largest))
        self.row = compiler.alias()

    def expression(self) -> sql.Composable:
        pairs = [(below.key, self._value(below)) for below in self._fields(self.type, self.field)]
        tree = compiling.json_object([(key, expression) for key, (expression, _) in pairs])
        if not any(needs_rows for _, (_, needs_rows) in pairs):
            return tree
        return sql.SQL("(SELECT {} FROM ({}) AS {} WHERE {}.page_row <= {}::int4)").format(
            tree, self._rows(), self.row, self.row, self.limit
        )

    def _fields(
        self, type_: graphql.GraphQLNamedType, field: selection.Field
    ) -> list[selection.Field]:
        return self.compiler.fields(
            type_=cast("graphql.GraphQLObjectType", type_),
            selections=field.selections,
            path=field.path,
        )

    def _value(self, field: selection.Field) -> tuple[sql.Composable, bool]:
        """Return the expression, and whether it needs the rows of the page."""
        match field.name:
            case "edges":
                return self._aggregate(self._edge(field)), True
            case "nodes":
                return self._aggregate(self._node(field)), True
            case "pageInfo":
                info = [(below.key, self._info(below)) for below in self._fields(field.type, field)]
                return compiling.json_object(info), True
            case "totalCount":
                return self._total(), False
            case _:
                return sql.Literal(self.type.name), False

    def _aggregate(self, tree: sql.Composable) -> sql.Composable:
        # Ordered by itself: PostgreSQL may sort the rows for another aggregate beside it.
        direction = sql.SQL("DESC" if self.page.is_backward else "ASC")
        return sql.SQL("coalesce(json_agg({} ORDER BY {}.page_row {}), '[]'::json)").format(
            tree, self.row, direction
        )

    def _edge(self, field: selection.Field) -> sql.Composable:
        pairs: list[tuple[str, sql.Composable]] = []
        for below in self._fields(field.type, field):
            match below.name:
                case "node":
                    pairs.append((below.key, self._node(below)))
                case "cursor":
                    pairs.append((below.key, self.order.cursor(self.row)))
                case _:
                    pairs.append((below.key, sql.Literal(field.type.name)))
        return compiling.json_object(pairs)

    def _node(self, field: selection.Field) -> sql.Composable:
        return self.compiler.object(type_=self.node_type, field=field, row=self.row)

    def _info(self, field: selection.Field) -> sql.Composable:
        match field.name:
            case "hasNextPage":
                return self._beyond(is_ahead=True)
            case "hasPreviousPage":
                return self._beyond(is_ahead=False)
            case "startCursor":
                return self._outermost("ASC")
            case "endCursor":
                return self._outermost("DESC")
            case _:
                return sql.Literal("PageInfo")

    def _outermost(self, direction: Literal["ASC", "DESC"]) -> sql.Composable:
        if self.page.is_backward:
            direction = "DESC" if direction == "ASC" else "ASC"
        return sql.SQL("(array_agg({} ORDER BY {}.page_row {}))[1]").format(
            self.order.cursor(self.row), self.row, sql.SQL(direction)
        )

    def _beyond(self, *, is_ahead: bool) -> sql.Composable:
        """Tell whether there are rows ahead of the page, or behind it."""
        if is_ahead != self.page.is_backward:
            return sql.SQL("coalesce(max({}.page_size) > {}::int4, false)").format(
                self.row, self.limit
            )
        edge: Literal["after", "before"] = "before" if is_ahead else "after"
        if not (self.page.has_before if is_ahead else self.page.has_after):
            return sql.SQL("false")
        there = self.compiler.alias()
        behind = self._compare(there, edge, is_inside=False)
        return sql.SQL("EXISTS (SELECT 1 FROM {} WHERE {} AND {})").format(
            self._table(there), self._condition(there), behind
        )

    def _total(self) -> sql.Composable:
        there = self.compiler.alias()
        return sql.SQL("(SELECT count(*) FROM {} WHERE {})").format(
            self._table(there), self._condition(there)
        )

    def _rows(self) -> sql.Composable:
        there, fetched = self.compiler.alias(), self.compiler.alias()
        every = [self._condition(there)]
        if self.page.has_after:
            every.append(self._compare(there, "after", is_inside=True))
        if self.page.has_before:
            every.append(self._compare(there, "before", is_inside=True))
        is_downward = self.order.is_descending != self.page.is_backward
        direction = sql.SQL(" DESC" if is_downward else " ASC")
        return sql.SQL(
            "SELECT {fetched}.*, row_number() OVER () AS page_row, count(*) OVER () AS page_size"
            " FROM (SELECT {there}.* FROM {table} WHERE {every} ORDER BY {keys}"
            " LIMIT {limit}::int4 + 1) AS {fetched}"
        ).format(
            fetched=fetched,
            there=there,
            table=self._table(there),
            every=sql.SQL(" AND ").join(every),
            keys=sql.SQL(", ").join(key + direction for key in self.order.columns(there)),
            limit=self.limit,
        )

    def _table(self, there: sql.Composable) -> sql.Composable:
        return sources.table(self.node_type, there=there, compiler=self.compiler)

    def _condition(self, there: sql.Composable) -> sql.Composable:
        names = {"here": self.here, "there": there}
        every = [
            sources.conditions(
                self.connection.on,
                names=names,
                seen=self._seen(there),
            )
        ]
        for filter_, value in self.filters:
            every.append(sql.SQL(filter_.on).format(there=there, value=value))
        return sql.SQL(" AND ").join(every)

    def _seen(self, there: sql.Composable) -> sql.Composable | None:
        if not self.connection.is_outside:
            return None
        table = sources.rows_of(self.node_type).name
        return access.visible(table=table, there=there, compiler=self.compiler)

    def _compare(
        self, there: sql.Composable, edge: Literal["after", "before"], *, is_inside: bool
    ) -> sql.Composable:
        """Return the condition of being beyond a cursor, or (not inside) up to it."""
        is_greater = (edge == "after") != self.order.is_descending
        inside, outside = (">", "<=") if is_greater else ("<", ">=")
        values = [
            self.order.value(self._place(edge, index), type_)
            for index, (_, type_) in enumerate(self.order.keys)
        ]
        return sql.SQL("({}) {} ({})").format(
            sql.SQL(", ").join(self.order.columns(there)),
            sql.SQL(inside if is_inside else outside),
            sql.SQL(", ").join(values),
        )

    def _place(self, edge: str, index: int) -> sql.Composable:
        field, order = self.field, self.order
        return self.compiler.parameter(
            lambda bound: order.place(field.arguments(bound)[edge])[index]
        )

    def _order(self) -> cursors.Order:
        field, orders = self.field, self.connection.orders
        name = self.compiler.ask(lambda bound: _order_name(field, bound))
        return next((order for order in orders if order.name == name), orders[0])


def _order_name(field: selection.Field, bound: binding.Binding) -> str | None:
    order = field.arguments(bound).get("orderBy")
    return None if order is None else str(order.value)


def _page(field: selection.Field, bound: binding.Binding, largest: int) -> Page:
    arguments = field.arguments(bound)
    for name in ("first", "last"):
        size = arguments.get(name)
        if size is not None and not 1 <= size <= largest:
            message = f"`{name}` is {size}; it must be between 1 and {largest}."
            if size > largest:
                raise limits.exceeded(message, node=field.nodes[0])
            raise binding.bad_input(message, node=field.nodes[0])
    if arguments.get("first") is not None and arguments.get("last") is not None:
        raise binding.bad_input(
            "Give `first` or `last`, not both.",
            node=field.nodes[0],
        )
    return Page(
        is_backward=arguments.get("last") is not None,
        has_after=arguments.get("after") is not None,
        has_before=arguments.get("before") is not None,
    )


def _limit(field: selection.Field, bound: binding.Binding, largest: int) -> int:
    arguments = field.arguments(bound)
    return arguments.get("first") or arguments.get("last") or min(DEFAULT_PAGE, largest)
