"""Plans: statements ready to run, kept for as long as their operations are asked.

A statement takes a list of executions, each a row of parameters, and answers them all.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, LiteralString

import graphql
import msgspec
from psycopg import sql

from app import gathering
from app.access import caller, tokens
from app.graphql.compiler import binding, compiling, documents, selection, texts

_REMEMBERED = 512  # operations
_VARIANTS = 64  # plans of one operation

Row = tuple[str | None, ...]
"""The parameters of one execution."""

Asked = tuple[caller.Proof | None, Row]
"""One execution, and what has to be proven of whom it is for."""


@dataclasses.dataclass(eq=False)
class Plan:
    """A statement that returns place and JSON text of each row; None if nothing has to be read."""

    statement: bytes | None
    parameters: Mapping[str, binding.Value]
    preparations: Sequence[compiling.Preparation]
    computations: Sequence[compiling.Computation]
    types: frozenset[str]
    """The object types that it shows something of."""
    is_whole: bool
    """Is everything that is selected read, and nothing to be put beside it?"""
    fields: Sequence[selection.Field]
    """What is selected at the root."""
    runs: gathering.Gathering[Asked, str | None] | None = None
    """Where those meet who run it at the same time, once somebody has."""

    def row(self, bound: binding.Binding) -> Row:
        """Return the parameters, but for those that are prepared.

        Raises BAD_USER_INPUT for a value that cannot be one.
        """
        return tuple([texts.text_of(value(bound)) for value in self.parameters.values()])

    def arguments(self, rows: Sequence[Row]) -> list[str]:
        """Return what the statement takes for these rows."""
        if not self.names:
            return []
        given = [dict(zip(self.names, row, strict=True)) for row in rows]
        return [msgspec.json.encode(given).decode()]

    @functools.cached_property
    def proving(self) -> bytes:
        """The statement, with what the tokens of its last parameter tell: place 0, and their hash.

        All of it is of one moment: who is not allowed any more gets nothing that came after.
        """
        hashes: LiteralString = "$2" if self.names else "$1"
        told = tokens.told(hashes).encode()
        return b"SELECT *, NULL FROM (%b) AS read UNION ALL SELECT 0, told, hash FROM (%b) AS t" % (
            self.statement or b"", told,
        )  # fmt: skip

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, those that are prepared at the end."""
        return (*self.parameters, *(each.parameter for each in self.preparations))

    def complete(self, tree: object, *, functions: Mapping[str, Callable[[Any], Any]]) -> None:
        """Fill in what pure functions make of facts in the tree."""
        for each in self.computations:
            documents.complete(
                tree, path=each.path, name=each.name, build=each.build, functions=functions
            )


@dataclasses.dataclass(frozen=True)
class Target:
    """What is to be compiled: the fields selected of a type that is no row itself."""

    key: Hashable
    type: graphql.GraphQLObjectType
    selections: tuple[graphql.SelectionSetNode, ...]
    fragments: Mapping[str, graphql.FragmentDefinitionNode]
    is_walked: bool = True
    """Does graphql-core's executor walk the answer? Then objects of abstract types tell theirs."""


@dataclasses.dataclass
class _Fork:
    """Where the plan depends on the answer to a question."""

    question: binding.Question
    branches: dict[Hashable, "_Fork | Plan"] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class _Variants:
    target: Target
    root: "_Fork | Plan | None" = None
    count: int = 0


class Plans:
    """The plans of a schema: those used longest ago are forgotten first."""

    def __init__(self, *, schema: graphql.GraphQLSchema) -> None:
        self._schema = schema
        self._known: collections.OrderedDict[Hashable, _Variants] = collections.OrderedDict()

    def plan(self, *, target: Target, bound: binding.Binding) -> Plan:
        """Return the plan for the target with these values."""
        key = (target.key, target.is_walked)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Variants(target=target)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        found = known.root
        while isinstance(found, _Fork):
            found = found.branches.get(found.question(bound))
        return found or self._compile(known, bound)

    def _compile(self, known: _Variants, bound: binding.Binding) -> Plan:
        plan, answers = compiled(schema=self._schema, target=known.target, bound=bound)
        if known.count >= _VARIANTS:
            known.root, known.count = None, 0
        known.count += 1
        known.root = _grown(known.root, answers, plan)
        return plan


def compiled(
    *, schema: graphql.GraphQLSchema, target: Target, bound: binding.Binding
) -> tuple[Plan, Sequence[tuple[binding.Question, Hashable]]]:
    """Compile the target; return its plan with the questions and answers it depends on."""
    compiler = compiling.Compiler(
        schema=schema, fragments=target.fragments, bound=bound, is_walked=target.is_walked
    )
    fields = compiler.fields(type_=target.type, selections=target.selections, path=())
    pairs = [
        (field.key, compiler.value(field, None)) for field in fields if field.source is not None
    ]
    plan = Plan(
        statement=_statement(pairs, compiler) if pairs else None,
        parameters=compiler.parameters,
        preparations=tuple(compiler.preparations),
        computations=tuple(compiler.computations),
        types=frozenset(compiler.types),
        is_whole=len(pairs) == len(fields),
        fields=tuple(fields),
    )
    return plan, compiler.answers


def _statement(pairs: Sequence[tuple[str, sql.Composable]], compiler: compiling.Compiler) -> bytes:
    names = [*compiler.parameters, *(each.parameter for each in compiler.preparations)]
    rows = sql.SQL("(VALUES (1::int8)) AS {} (place)").format(compiling.GIVEN)
    if names:
        rows = sql.SQL(
            "ROWS FROM (json_to_recordset($1::json) AS ({})) WITH ORDINALITY AS {} ({}, place)"
        ).format(
            sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in names),
            compiling.GIVEN,
            sql.SQL(", ").join(map(sql.Identifier, names)),
        )
    statement = sql.SQL("SELECT {}.place, {}::text FROM {}").format(
        compiling.GIVEN, compiling.json_object(pairs), rows
    )
    return statement.as_string(None).encode()


def _grown(
    root: _Fork | Plan | None,
    answers: Sequence[tuple[binding.Question, Hashable]],
    plan: Plan,
) -> _Fork | Plan:
    """Add the plan under its answers; equal answers always meet the same next question."""
    if not answers:
        return plan
    (question, answer), *rest = answers
    fork = root if isinstance(root, _Fork) else _Fork(question=question)
    fork.branches[answer] = _grown(fork.branches.get(answer), rest, plan)
    return fork
