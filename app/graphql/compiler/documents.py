"""Values inside a JSON document, delivered by SQL where it is stored.

Or by Python, where a pure function makes it of facts that the statement delivers: `Computed`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString

from psycopg import sql

from app.graphql.compiler import binding, compiling, selection, sources
from app.graphql.compiler.compiling import Compiler

FACTS_KEY = "$facts"


@dataclasses.dataclass(frozen=True)
class Item:
    """A plain value of the document."""

    name: str

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the value."""
        del field, compiler
        return sql.SQL("{}.document -> {}").format(here, sql.Literal(self.name))


@dataclasses.dataclass(frozen=True)
class Items:
    """A list of objects of the document."""

    name: str

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the list."""
        there = compiler.alias()
        type_ = compiler.object_type(field.type.name)
        return sql.SQL(
            "(SELECT coalesce(json_agg({tree} ORDER BY {there}.place), '[]'::json) FROM"
            " jsonb_array_elements({here}.document -> {name})"
            " WITH ORDINALITY AS {there}(document, place))"
        ).format(
            tree=compiler.object(type_=type_, field=field, row=there),
            there=there,
            here=here,
            name=sql.Literal(self.name),
        )


@dataclasses.dataclass(frozen=True)
class Reference:
    """The row whose id stands in the document."""

    name: str

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the object of the row."""
        type_ = compiler.object_type(field.type.name)
        there = compiler.alias()
        return sql.SQL("(SELECT {} FROM {} WHERE {}.id = ({}.document ->> {})::uuid)").format(
            compiler.object(type_=type_, field=field, row=there),
            sources.rows_of(type_).from_clause(there),
            there,
            here,
            sql.Literal(self.name),
        )


@dataclasses.dataclass(frozen=True)
class Computed:
    """A document that the pure function `name` makes of `facts`.

    Rows that the document refers to are among those that `referred` admits; what is selected
    of them comes with the same statement.
    """

    name: str
    facts: LiteralString
    referred: LiteralString

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: Compiler
    ) -> sql.Composable:
        """Return the facts, and the trees of the rows by id."""
        if compiler.replaced:
            raise binding.bad_input(
                f"`{field.name}` tells of now: ask for it without `at`.", node=field.nodes[0]
            )
        trees: list[sql.Composable] = []
        place = len(compiler.computations)
        builder = _Builder(computed=self, here=here, compiler=compiler, trees=trees)
        build = builder.object(field)
        compiler.computations.insert(
            place, compiling.Computation(path=field.path, name=self.name, build=build)
        )
        return sql.SQL("json_build_object({}, {}, 'trees', json_build_array({}))").format(
            sql.Literal(FACTS_KEY),
            sql.SQL(self.facts).format(here=here),
            sql.SQL(", ").join(trees),
        )


@dataclasses.dataclass(frozen=True)
class _Builder:
    computed: Computed
    here: sql.Composable | None
    compiler: Compiler
    trees: list[sql.Composable]

    def object(self, field: selection.Field) -> compiling.Build:
        """Return what builds the object below a field."""
        type_ = self.compiler.object_type(field.type.name)
        below = self.compiler.fields(type_=type_, selections=field.selections, path=field.path)
        values = [(each.key, self._value(each, type_.name)) for each in below]
        return lambda document, trees: {key: value(document, trees) for key, value in values}

    def _value(self, field: selection.Field, type_name: str) -> compiling.Build:
        source = field.source
        match source:
            case Item(name=name):
                return lambda document, _: document.get(name)
            case Items(name=name):
                build = self.object(field)
                return lambda document, trees: [build(each, trees) for each in document[name]]
            case Reference(name=name):
                place = self._tree(field)
                return lambda document, trees: trees[place].get(document.get(name))
            case _:
                return lambda _document, _trees: type_name

    def _tree(self, field: selection.Field) -> int:
        type_ = self.compiler.object_type(field.type.name)
        there = self.compiler.alias()
        tree = sql.SQL(
            "(SELECT coalesce(json_object_agg({there}.id, {tree}), '{{}}'::json)"
            " FROM {rows} WHERE {referred})"
        ).format(
            there=there,
            tree=self.compiler.object(type_=type_, field=field, row=there),
            rows=sources.rows_of(type_).from_clause(there),
            referred=sql.SQL(self.computed.referred).format(here=self.here, there=there),
        )
        self.trees.append(tree)
        return len(self.trees) - 1


def complete(
    tree: Any,  # noqa: ANN401  a JSON tree
    *,
    path: Sequence[str],
    name: str,
    build: compiling.Build,
    functions: Mapping[str, Callable[[Any], Any]],
) -> None:
    """Put the computed document in the place of its facts, wherever `path` leads in the tree."""
    if isinstance(tree, list):
        for each in tree:
            complete(each, path=path, name=name, build=build, functions=functions)
        return
    if not isinstance(tree, dict):
        return
    value = tree.get(path[0])
    if len(path) > 1:
        complete(value, path=path[1:], name=name, build=build, functions=functions)
    elif isinstance(value, dict) and FACTS_KEY in value:
        tree[path[0]] = build(functions[name](value[FACTS_KEY]), value["trees"])
