"""Connections: keyset pages, forwards and backwards.

One more row than asked for is fetched if the client wants to know whether another one follows.
Rows reach the aggregates in the order of the page; none of them has an ORDER BY of its own, for
which PostgreSQL would sort the rows anew.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, LiteralString, cast

import graphql
from psycopg import sql

from app.graphql import limits
from app.graphql.compiler import (
    access,
    binding,
    compiling,
    cursors,
    filtering,
    pages,
    selection,
    sources,
)
from app.graphql.compiler.compiling import Compiler


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
        largest = self.largest = limits.of(compiler.schema).page
        self.page = compiler.ask(
            lambda bound: pages.asked(field, bound, largest), about=field.nodes[0]
        )
        self.order = self._order()
        self.filters = filtering.asked(connection.filters, field=field, compiler=compiler)
        self.limit = compiler.number(
            lambda bound: pages.size(field, bound, largest), about=field.nodes[0]
        )
        self.row = compiler.alias()
        self.is_counted = self._is_counted()

    def expression(self) -> sql.Composable:
        pairs = [(below.key, self._value(below)) for below in self._fields(self.type, self.field)]
        tree = compiling.json_object([(key, expression) for key, (expression, _) in pairs])
        if not any(needs_rows for _, (_, needs_rows) in pairs):
            return tree
        return sql.SQL("(SELECT {} FROM ({}) AS {})").format(tree, self._rows(), self.row)

    def _is_counted(self) -> bool:
        """Tell whether the client asks for a page beyond this one, in its direction."""
        wanted = "hasPreviousPage" if self.page.is_backward else "hasNextPage"
        return any(
            info.name == wanted
            for below in self._fields(self.type, self.field)
            if below.name == "pageInfo"
            for info in self._fields(below.type, below)
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
        return sql.SQL("coalesce(json_agg({}){}, '[]'::json)").format(tree, self._filter())

    def _filter(self) -> sql.Composable:
        """Return what leaves out the row beyond the page."""
        if not self.is_counted:
            return sql.SQL("")
        return sql.SQL(" FILTER (WHERE {}.page_row <= {})").format(self.row, self.limit)

    def _edge(self, field: selection.Field) -> sql.Composable:
        pairs: list[tuple[str, sql.Composable]] = []
        for below in self._fields(field.type, field):
            match below.name:
                case "node":
                    pairs.append((below.key, self._node(below)))
                case "cursor":
                    keys = self.order.columns(self.row)
                    pairs.append((below.key, self.order.cursor(keys)))
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
                return self._cursor(sql.SQL("1"))
            case "endCursor":
                return self._cursor(sql.SQL("count(*){}").format(self._filter()))
            case _:
                return sql.Literal("PageInfo")

    def _cursor(self, place: sql.Composable) -> sql.Composable:
        """Return the cursor of the row at a place of the page, made of its keys alone."""
        keys = [
            sql.SQL("(array_agg({}){})[{}]").format(key, self._filter(), place)
            for key in self.order.columns(self.row)
        ]
        cursor = self.order.cursor(keys)
        return sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(keys[0], cursor)

    def _beyond(self, *, is_ahead: bool) -> sql.Composable:
        """Tell whether there are rows ahead of the page, or behind it."""
        if is_ahead != self.page.is_backward:
            return sql.SQL("count(*) > {}").format(self.limit)
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
        rows: sql.Composable = self._fetched(
            there, sql.SQL(" AND ").join(every), is_downward=is_downward
        )
        if self.is_counted:
            rows = sql.SQL("SELECT {}.*, row_number() OVER () AS page_row FROM ({}) AS {}").format(
                fetched, rows, fetched
            )
        if self.page.is_backward:
            order: sql.Composable = sql.SQL("{}.page_row DESC").format(fetched)
            if not self.is_counted:
                order = self._keys(fetched, is_downward=not is_downward)
            rows = sql.SQL("SELECT * FROM ({}) AS {} ORDER BY {}").format(rows, fetched, order)
        return rows

    def _fetched(
        self, there: sql.Composable, condition: sql.Composable, *, is_downward: bool
    ) -> sql.Composable:
        """Return the rows of the page, outermost first, and one more if it is counted."""
        limit: sql.Composable = self.limit
        if self.is_counted:
            limit = sql.SQL("{} + 1").format(limit)
        found: sql.Composable = sql.SQL(
            "SELECT {there}.* FROM {table} WHERE {condition} ORDER BY {keys}"
        ).format(
            there=there,
            table=self._table(there),
            condition=condition,
            keys=self._keys(there, is_downward=is_downward),
        )
        if not binding.is_constant(self.field.nodes[0]):
            # The planner looks for an index when it sees how few rows there can be at most.
            largest = sql.Literal(self.largest + 1)
            found = sql.SQL("SELECT * FROM ({} LIMIT {}) AS {}").format(found, largest, there)
        return sql.SQL("{} LIMIT {}").format(found, limit)

    def _keys(self, there: sql.Composable, *, is_downward: bool) -> sql.Composable:
        direction = sql.SQL(" DESC" if is_downward else " ASC")
        return sql.SQL(", ").join(key + direction for key in self.order.columns(there))

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
            self.order.value(parameter, type_)
            for parameter, (_, type_) in zip(self._place(edge), self.order.keys, strict=True)
        ]
        return sql.SQL("({}) {} ({})").format(
            sql.SQL(", ").join(self.order.columns(there)),
            sql.SQL(inside if is_inside else outside),
            sql.SQL(", ").join(values),
        )

    def _place(self, edge: str) -> list[sql.Composable]:
        """Return the values that a cursor holds."""
        field, order = self.field, self.order

        def value(index: int) -> binding.Value:
            return lambda bound: order.place(field.arguments(bound)[edge])[index]

        return [self.compiler.parameter(value(index)) for index in range(len(order.keys))]

    def _order(self) -> cursors.Order:
        field, orders = self.field, self.connection.orders
        name = self.compiler.ask(lambda bound: pages.order_name(field, bound), about=field.nodes[0])
        return next((order for order in orders if order.name == name), orders[0])
