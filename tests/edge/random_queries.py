"""Random operations that fit the schema, with arguments that need not make sense.

With several roots, aliases, variables and their defaults, `@skip` and `@include`, inline and named
fragments, also on interfaces and unions.
"""

import json
import random
from collections.abc import Sequence
from typing import Any

import graphql

_DEPTH = 5
_JUNK = (
    "", "x", "\x00", "\ud800", "é" * 40, "'; DROP TABLE ledger.events; --", "%s %(p0)s {here}",
    "svc_" + "0" * 32, "env_" + "f" * 32, "prj_", "dep_zz", "W10", "bm9wZQ", "WyJhIiwxXQ", "-1",
    "9" * 30, "2026-01-01T00:00:00Z", "9999-99-99T00:00:00Z", "0001-01-01T00:00:00+23:59",
    "NaN", "null", "..", "A" * 300,
)  # fmt: skip
_NUMBERS = (0, 1, 2, 50, 100, 101, -1, 2**31 - 1, -(2**31), 2**31, 2**63)


class Source:
    """Makes one operation after another; `known` are texts that exist, such as ids."""

    def __init__(self, *, schema: graphql.GraphQLSchema, seed: int, known: Sequence[str]) -> None:
        self._schema = schema
        self._random = random.Random(seed)  # noqa: S311  the same ones in every run
        self._texts = (*_JUNK, *known, *known)
        self._variables: list[tuple[str, str, Any]] = []
        self._fragments: list[str] = []

    def operation(self, kind: graphql.OperationType) -> tuple[str, dict[str, Any]]:
        """Return a document and its variables."""
        self._variables, self._fragments = [], []
        root = self._schema.get_root_type(kind)
        assert root is not None
        names = self._random.sample(list(root.fields), self._random.choice((1, 1, 2)))
        body = " ".join(self._field(name, root.fields[name], depth=0) for name in names)
        given = ", ".join(f"${name}: {type_}" for name, type_, _ in self._variables)
        head = f"{kind.value} Q({given})" if given else f"{kind.value} Q"
        text = " ".join([f"{head} {{ {body} }}", *self._fragments])
        return text, {name: value for name, type_, value in self._variables if " = " not in type_}

    def _field(self, name: str, field: graphql.GraphQLField, *, depth: int) -> str:
        arguments = []
        for key, argument in field.args.items():
            if graphql.is_required_argument(argument) or self._random.random() < 0.4:
                value = self._value(argument.type, depth=0)
                arguments.append(f"{key}: {self._variable(str(argument.type), value)}")
        written = f"({', '.join(arguments)})" if arguments else ""
        type_ = graphql.get_named_type(field.type)
        below = self._selection(type_, depth=depth + 1)
        key = f"a{depth}_{name}: " if self._random.random() < 0.1 else ""
        return f"{key}{name}{written}{self._directive()}{below}"

    def _variable(self, type_: str, value: object) -> str:
        name = f"v{len(self._variables)}"
        self._variables.append((name, type_, value))
        return f"${name}"

    def _directive(self) -> str:
        if self._random.random() > 0.08:
            return ""
        name, condition = self._random.choice(
            (("skip", "false"), ("include", "true"), ("skip", ""), ("include", ""))
        )
        is_default = self._random.random() < 0.3
        type_ = "Boolean! = true" if is_default else "Boolean!"
        condition = condition or self._variable(type_, self._random.random() < 0.5)
        return f" @{name}(if: {condition})"

    def _selection(self, type_: graphql.GraphQLNamedType, *, depth: int) -> str:
        if graphql.is_leaf_type(type_):
            return ""
        parts = ["__typename"]
        if isinstance(type_, graphql.GraphQLUnionType | graphql.GraphQLInterfaceType):
            parts += [
                f"... on {each.name}{self._directive()} {self._selection(each, depth=depth)}"
                for each in self._schema.get_possible_types(type_)
                if self._random.random() < 0.5
            ]
        elif isinstance(type_, graphql.GraphQLObjectType):
            chosen = [
                (name, field)
                for name, field in type_.fields.items()
                if depth < _DEPTH or graphql.is_leaf_type(graphql.get_named_type(field.type))
            ]
            self._random.shuffle(chosen)
            parts += [self._field(name, field, depth=depth) for name, field in chosen[:4]]
            if self._random.random() < 0.1:
                fragment = f"F{len(self._fragments)}"
                written = " ".join(self._field(name, field, depth=6) for name, field in chosen[4:5])
                self._fragments.append(f"fragment {fragment} on {type_} {{ __typename {written} }}")
                parts = [*parts[:2], f"...{fragment}", *parts[2:]]
        return "{ " + " ".join(parts) + " }"

    def _value(self, type_: graphql.GraphQLInputType, *, depth: int) -> Any:  # noqa: ANN401  any input
        if isinstance(type_, graphql.GraphQLNonNull):
            value = self._value(type_.of_type, depth=depth)
            return self._text() if value is None else value
        if self._random.random() < 0.15 or depth > 3:
            return None
        if isinstance(type_, graphql.GraphQLList):
            return [self._value(type_.of_type, depth=depth + 1) for _ in range(2)]
        if isinstance(type_, graphql.GraphQLInputObjectType):
            fields = [
                (name, field)
                for name, field in type_.fields.items()
                if graphql.is_required_input_field(field) or self._random.random() < 0.5
            ]
            if type_.is_one_of:
                fields = [self._random.choice(list(type_.fields.items()))]
            return {name: self._value(field.type, depth=depth + 1) for name, field in fields}
        if isinstance(type_, graphql.GraphQLEnumType):
            return self._random.choice([*type_.values, "NOTHING"])
        return self._scalar(type_.name)

    def _scalar(self, name: str) -> object:
        match name:
            case "Int":
                return self._random.choice(_NUMBERS)
            case "Boolean":
                return self._random.random() < 0.5
            case "JSON":
                return self._random.choice(
                    [{}, [], 3, "x", None, {"a": {"b": [1, None]}}, {"\x00": 1}, {"n": 1e300}]
                )
            case _:
                return self._text()

    def _text(self) -> str:
        return self._random.choice(self._texts)


def ids_of(answers: Sequence[object]) -> list[str]:
    """Return the texts of answers that look like ids, cursors or positions."""
    found: set[str] = set()

    def look(value: object) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                if key in ("id", "endCursor", "cursor", "position") and isinstance(item, str):
                    found.add(item)
                look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)

    look(json.loads(json.dumps(answers)))
    return sorted(found)
