"""Plans: statements ready to run, kept for as long as their operations are asked."""

import collections
import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import graphql
from psycopg import sql

from app.graphql.compiler import binding, compiling, documents


@dataclasses.dataclass(frozen=True)
class Plan:
    """A statement that returns one JSON text; None if nothing has to be read."""

    statement: bytes | None
    parameters: Mapping[str, binding.Value]
    preparations: Sequence[compiling.Preparation]
    computations: Sequence[compiling.Computation]
    types: frozenset[str]
    """The object types that it shows something of."""

    def values(self, bound: binding.Binding) -> dict[str, Any]:
        """Return the parameters, but for those that are prepared."""
        return {name: _checked(value(bound)) for name, value in self.parameters.items()}

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

    def __init__(
        self, *, schema: graphql.GraphQLSchema, limit: int = 512, variants: int = 64
    ) -> None:
        self._schema = schema
        self._limit = limit
        self._variants = variants
        self._known: collections.OrderedDict[Hashable, _Variants] = collections.OrderedDict()

    def plan(self, *, target: Target, bound: binding.Binding) -> Plan:
        """Return the plan for the target with these values."""
        known = self._known.get(target.key)
        if known is None:
            known = self._known[target.key] = _Variants(target=target)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
        self._known.move_to_end(target.key)
        found = known.root
        while isinstance(found, _Fork):
            found = found.branches.get(found.question(bound))
        return found or self._compile(known, bound)

    def _compile(self, known: _Variants, bound: binding.Binding) -> Plan:
        plan, answers = compiled(schema=self._schema, target=known.target, bound=bound)
        if known.count >= self._variants:
            known.root, known.count = None, 0
        known.count += 1
        known.root = _grown(known.root, answers, plan)
        return plan


def compiled(
    *, schema: graphql.GraphQLSchema, target: Target, bound: binding.Binding
) -> tuple[Plan, Sequence[tuple[binding.Question, Hashable]]]:
    """Compile the target; return its plan with the questions and answers it depends on."""
    compiler = compiling.Compiler(schema=schema, fragments=target.fragments, bound=bound)
    fields = compiler.fields(type_=target.type, selections=target.selections, path=())
    pairs = [
        (field.key, compiler.value(field, None)) for field in fields if field.source is not None
    ]
    statement = None
    if pairs:
        text = sql.SQL("SELECT {}::text").format(compiling.json_object(pairs)).as_string(None)
        statement = text.encode()
    plan = Plan(
        statement=statement,
        parameters=compiler.parameters,
        preparations=tuple(compiler.preparations),
        computations=tuple(compiler.computations),
        types=frozenset(compiler.types),
    )
    return plan, compiler.answers


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


def _checked(value: object) -> object:
    """Refuse text that no column can hold."""
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if isinstance(text, str) and ("\x00" in text or not _is_encodable(text)):
            raise binding.bad_input("A text holds characters that cannot be stored.")
    return value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
