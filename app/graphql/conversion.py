"""Arguments as Python takes them: an input is an object, its fields have their Python names.

Strawberry finds out anew each time what a type is made of; here that is done once for a field.
"""

from collections.abc import Callable, Mapping
from typing import Any

import graphql

from app.graphql.compiler import selection

_Convert = Callable[[Any], Any]
_Parts = Mapping[str, tuple[str, _Convert]]
"""The Python name and the conversion of an argument, or of an input's field, by its name."""

_BACK_REFERENCE = "strawberry-definition"


class Conversion:
    """Converts the coerced arguments of fields; keeps how, for the fields of one schema."""

    def __init__(self) -> None:
        self._fields: dict[int, _Parts] = {}
        self._inputs: dict[str, _Convert] = {}

    def arguments(self, field: selection.Field, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what Python takes; what was left out is not there."""
        definition = field.definition  # the schema keeps it, so that nothing else gets its id
        known = self._fields.get(id(definition))
        if known is None:
            known = self._fields[id(definition)] = self._parts(definition.args)
        return _converted(given, known)

    def _parts(
        self, of: Mapping[str, graphql.GraphQLArgument] | Mapping[str, graphql.GraphQLInputField]
    ) -> _Parts:
        return {
            name: (each.extensions[_BACK_REFERENCE].python_name, self._conversion(each.type))
            for name, each in of.items()
        }

    def _conversion(self, type_: graphql.GraphQLInputType) -> _Convert:
        bare = graphql.get_nullable_type(type_)
        if isinstance(bare, graphql.GraphQLInputObjectType):
            return self._input(bare)
        if isinstance(bare, graphql.GraphQLList):
            each = self._conversion(bare.of_type)
            return lambda value: None if value is None else [each(item) for item in value]
        return lambda value: value

    def _input(self, type_: graphql.GraphQLInputObjectType) -> _Convert:
        known = self._inputs.get(type_.name)
        if known is not None:
            return known
        make = type_.extensions[_BACK_REFERENCE].origin
        parts: dict[str, tuple[str, _Convert]] = {}

        def convert(value: Mapping[str, Any] | None) -> Any:  # noqa: ANN401  an input of any type
            return None if value is None else make(**_converted(value, parts))

        self._inputs[type_.name] = convert  # before its fields are looked at: one may be the same
        parts.update(self._parts(type_.fields))
        return convert


def _converted(given: Mapping[str, Any], parts: _Parts) -> dict[str, Any]:
    return {
        python_name: convert(given[name])
        for name, (python_name, convert) in parts.items()
        if name in given
    }
