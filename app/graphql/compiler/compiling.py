"""The walk over a selection that makes SQL of it."""

import contextlib
import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import graphql
from psycopg import sql

from app.graphql.compiler import binding, selection

TYPE_KEY = "$type"
"""The hidden key under which an object of an abstract type tells its own; no alias can be this."""

GIVEN = sql.Identifier("given")
"""The row of an execution's parameters, as text: one statement answers many executions."""

_PAIRS = 50  # a function takes 100 arguments
_LARGEST = 5000  # fields

_Answer = TypeVar("_Answer", bound=Hashable)

Build = Callable[[Any, Sequence[Any]], Any]
"""Makes the selected tree out of a document and the trees of the rows that it refers to."""


class Source(Protocol):
    """Where the value of a field comes from."""

    def expression(
        self, *, field: selection.Field, here: sql.Composable | None, compiler: "Compiler"
    ) -> sql.Composable:
        """Return the expression of the value, for the row `here`; None at a root."""
        ...


@dataclasses.dataclass(frozen=True)
class Preparation:
    """A parameter that is fetched before the statement runs: `kind` says how."""

    parameter: str
    kind: str
    request: binding.Value


@dataclasses.dataclass(frozen=True)
class Computation:
    """A field that a pure function, known by `name`, makes of the facts at its place."""

    path: tuple[str, ...]
    name: str
    build: Build


class Compiler:
    """Makes one statement; sources ask it for parameters, aliases and what is below them."""

    def __init__(
        self,
        *,
        schema: graphql.GraphQLSchema,
        fragments: Mapping[str, graphql.FragmentDefinitionNode],
        bound: binding.Binding,
        is_walked: bool,
    ) -> None:
        self.schema = schema
        self._is_walked = is_walked
        self.bound = bound
        self.answers: list[tuple[binding.Question, Hashable]] = []
        self.parameters: dict[str, binding.Value] = {}
        self.preparations: list[Preparation] = []
        self.computations: list[Computation] = []
        self.types: set[str] = set()
        self.replaced: Mapping[str, Callable[[], sql.Composable]] = {}
        """Tables, for the part being compiled, whose rows are those of a JSON document."""
        self._aliases = 0
        self._fields = 0
        self._selector = selection.Selector(schema=schema, fragments=fragments, ask=self.ask)

    def ask(
        self,
        question: Callable[[binding.Binding], _Answer],
        *,
        about: graphql.SelectionNode | None = None,
    ) -> _Answer:
        """Return the answer, on which the statement then depends.

        It does not if the question is `about` the arguments of a node that are always the same.
        """
        answer = question(self.bound)
        if about is None or not binding.is_constant(about):
            self.answers.append((question, answer))
        return answer

    def number(self, value: binding.Value, *, about: graphql.SelectionNode) -> sql.Composable:
        """Return the expression of a whole number that the arguments of a node decide."""
        if binding.is_constant(about):
            return sql.Literal(value(self.bound))
        return sql.SQL("{}::int4").format(self.parameter(value))

    def parameter(self, value: binding.Value) -> sql.Composable:
        """Return the expression of a value; cast it to its type."""
        name = f"p{len(self.parameters) + len(self.preparations)}"
        self.parameters[name] = value
        return sql.SQL("{}.{}").format(GIVEN, sql.Identifier(name))

    def prepared(self, *, kind: str, request: binding.Value) -> sql.Composable:
        """Return the expression of a value that is fetched before."""
        name = f"p{len(self.parameters) + len(self.preparations)}"
        self.preparations.append(Preparation(parameter=name, kind=kind, request=request))
        return sql.SQL("{}.{}").format(GIVEN, sql.Identifier(name))

    @contextlib.contextmanager
    def replacing(self, tables: Mapping[str, Callable[[], sql.Composable]]) -> Iterator[None]:
        """Take the rows of some tables from JSON documents, for what the block compiles."""
        before, self.replaced = self.replaced, tables
        try:
            yield
        finally:
            self.replaced = before

    def alias(self) -> sql.Identifier:
        """Return a name for rows that nothing else has."""
        self._aliases += 1
        return sql.Identifier(f"t{self._aliases}")

    def object_type(self, name: str) -> graphql.GraphQLObjectType:
        """Return a type of the schema."""
        type_ = self.schema.get_type(name)
        if not isinstance(type_, graphql.GraphQLObjectType):
            raise TypeError(f"{name} is no object type")
        return type_

    def fields(
        self,
        *,
        type_: graphql.GraphQLObjectType,
        selections: Sequence[graphql.SelectionSetNode],
        path: tuple[str, ...],
    ) -> list[selection.Field]:
        """Return the selected fields of a type.

        Raises LIMIT_EXCEEDED when the statement grows too large: aliases multiply by level.
        """
        self.types.add(type_.name)
        found = self._selector.fields(type_=type_, selections=selections, path=path)
        self._fields += len(found)
        if self._fields > _LARGEST:
            raise graphql.GraphQLError(
                f"The operation selects more than {_LARGEST} fields, fragments written out.",
                extensions={"code": "LIMIT_EXCEEDED"},
            )
        return found

    def object(
        self,
        *,
        type_: graphql.GraphQLObjectType,
        field: selection.Field,
        row: sql.Composable | None,
        is_typed: bool = False,
    ) -> sql.Composable:
        """Return the JSON object of a row with what is selected below the field."""
        pairs: list[tuple[str, sql.Composable]] = []
        if is_typed and self._is_walked:
            pairs.append((TYPE_KEY, sql.Literal(type_.name)))
        for below in self.fields(type_=type_, selections=field.selections, path=field.path):
            if below.name == "__typename":
                pairs.append((below.key, sql.Literal(type_.name)))
            elif below.source is not None:
                pairs.append((below.key, self.value(below, row)))
        return json_object(pairs)

    def value(self, field: selection.Field, row: sql.Composable | None) -> sql.Composable:
        """Return the expression of a field."""
        source: Source = field.source
        return source.expression(field=field, here=row, compiler=self)


def json_object(pairs: Sequence[tuple[str, sql.Composable]]) -> sql.Composable:
    """Return the JSON object of the pairs, in their order."""
    parts = [_some(pairs[start : start + _PAIRS]) for start in range(0, len(pairs), _PAIRS)]
    if len(parts) <= 1:
        return parts[0] if parts else sql.SQL("json_build_object()")
    joined = sql.SQL("{}::text").format(parts[0])
    for part in parts[1:]:
        joined = sql.SQL("(left({}, -1) || ', ' || substr({}::text, 2))").format(joined, part)
    return sql.SQL("{}::json").format(joined)


def _some(pairs: Sequence[tuple[str, sql.Composable]]) -> sql.Composable:
    arguments = [
        sql.SQL("{}, {}").format(sql.Literal(key), expression) for key, expression in pairs
    ]
    return sql.SQL("json_build_object({})").format(sql.SQL(", ").join(arguments))
