"""What can be added to an environment: offerings, their plans, and the variables of each kind.

The catalogue is a file, `catalogue.toml`, read once and checked whole. Looking something up answers
None or problems; what to refuse is decided by those who ask.
"""

import dataclasses
import functools
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema.protocols
import referencing
import referencing.exceptions
from jsonschema import validators

from domain import errors, values

DEFAULT_PREFIX = "DEFAULT"
DEFAULT_REGIONS = ("local",)

_PLACE = "{P}"
_PREFIX = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*"
_SCHEMA_LIMIT = 65_536
_SHOWN = 300
_NAMING_RULES = ("additionalProperties", "required")  # their messages hold names alone
_LOCAL_REFERENCE = re.compile(r"#/\$defs/([A-Za-z0-9_-]+)")

Document = Mapping[str, Any]  # as a parser returns it; checked against a schema before use


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A size or quality of an offering."""

    name: str
    title: str
    description: str
    is_default: bool
    settings: Mapping[str, object]
    parameters: Mapping[str, object]

    @functools.cached_property
    def validator(self) -> jsonschema.protocols.Validator:
        """What checks parameters."""
        return validator_for(self.parameters)

    @functools.cached_property
    def has_secrets(self) -> bool:
        """Must some parameters not be repeated?"""
        return '"writeOnly": true' in json.dumps(self.parameters, default=str)


@dataclass(frozen=True, kw_only=True)
class Offering:
    """A service that can be added; a retired one only goes on where it is."""

    name: str
    title: str
    description: str
    kind: values.ServiceKind
    provider: str
    regions: tuple[str, ...]
    is_retired: bool
    plans: tuple[Plan, ...]


@dataclass(frozen=True, kw_only=True)
class KindVariables:
    """How the variables of a kind are named, and which part of the credentials they hold."""

    template: str
    alias: str | None
    credential: str


class CatalogueError(Exception):
    """The catalogue cannot be used; `problems` lists every reason."""

    def __init__(self, problems: Iterable[errors.Problem]) -> None:
        self.problems = tuple(problems)
        lines = [f"{problem.path or '(top)'}: {problem.message}" for problem in self.problems]
        super().__init__("\n".join(["the catalogue cannot be used:", *lines]))


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All offerings, in the order of the file."""

    offerings: tuple[Offering, ...]
    kinds: Mapping[values.ServiceKind, KindVariables]
    reserved: frozenset[str]

    def offering(self, name: str) -> Offering | None:
        """Return the offering of this name, a retired one included."""
        return next((offering for offering in self.offerings if offering.name == name), None)

    def plan(self, offering: Offering, name: str | None) -> Plan | None:
        """Return the offering's plan of this name, the default one if no name is given."""
        wanted = (
            plan
            for plan in offering.plans
            if plan.name == name or (name is None and plan.is_default)
        )
        return next(wanted, None)

    def check_parameters(
        self, offering: Offering, plan: Plan, parameters: Document
    ) -> list[errors.Problem]:
        """List what is wrong with parameters for a plan of the offering; empty if nothing is."""
        if plan not in offering.plans:
            raise ValueError(f"{plan.name} is no plan of {offering.name}")
        try:
            found = plan.validator.iter_errors(dict(parameters))
            if plan.has_secrets:
                found = (_without_values(error) for error in found)
            return _problems(found, start="parameters")
        except (RecursionError, referencing.exceptions.Unresolvable):
            return [errors.Problem(path="parameters", message="cannot be checked by their schema")]

    def joined(self, offerings: Iterable[Offering], *, stand_in: str) -> "Catalogue":
        """Return the catalogue with more offerings; raises CatalogueError.

        One with the name of an offering of the provider `stand_in` takes its place.
        """
        known = {offering.name: offering for offering in self.offerings}
        problems = []
        for offering in offerings:
            taken = known.get(offering.name)
            if taken is not None and taken.provider != stand_in:
                message = f"is offered by {taken.provider} and {offering.provider}"
                problems.append(errors.Problem(path=offering.name, message=message))
            if offering.kind not in self.kinds:
                message = f"is of a kind that is not known here: {offering.kind}"
                problems.append(errors.Problem(path=offering.name, message=message))
            known[offering.name] = offering
        if problems:
            raise CatalogueError(problems)
        return dataclasses.replace(self, offerings=tuple(known.values()))

    def variable_names(self, *, kind: values.ServiceKind, prefix: str) -> tuple[str, ...]:
        """Return the variables of an instance: the name, then the alias if it has one."""
        variables = self.kinds[kind]
        name = variables.template.replace(_PLACE, prefix)
        if variables.alias is None or prefix != DEFAULT_PREFIX:
            return (name,)
        return (name, variables.alias)


def validator_for(schema: Document) -> jsonschema.protocols.Validator:
    """Return what checks by a schema, in the draft that it names; it fetches nothing."""
    draft = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    return draft(schema, registry=referencing.Registry())


def load(path: Path | None = None) -> Catalogue:
    """Read a catalogue, ours if no path is given; raises CatalogueError."""
    file = path or resources.files("app").joinpath("catalogue.toml")
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogueError([errors.Problem(path=str(file), message=str(error))]) from error
    return parse(document)


def parse(document: Document) -> Catalogue:
    """Build the catalogue that a document describes; raises CatalogueError."""
    schema = json.loads(resources.files("app").joinpath("catalogue.schema.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    problems = _problems(validator.iter_errors(document), start="")
    problems = problems or [*_offering_problems(document), *_variable_problems(document)]
    if problems:
        raise CatalogueError(problems)
    return Catalogue(
        offerings=tuple(_offering(entry) for entry in document["offerings"]),
        kinds={
            values.ServiceKind(name): KindVariables(
                template=entry["variable"],
                alias=entry.get("alias"),
                credential=entry["credential"],
            )
            for name, entry in document["kinds"].items()
        },
        reserved=frozenset(document["reserved"]),
    )


def remembered(row: Document) -> Offering:
    """Return an offering as it was published before."""
    return Offering(
        name=row["name"],
        title=row["title"],
        description=row["description"],
        kind=values.ServiceKind(row["kind"]),
        provider=row["provider"],
        regions=DEFAULT_REGIONS,
        is_retired=row["is_retired"],
        plans=tuple(
            Plan(
                name=plan["name"],
                title=plan["title"],
                description=plan["description"],
                is_default=plan["is_default"],
                settings=plan["settings"],
                parameters=plan["parameters_schema"],
            )
            for plan in row["plans"]
        ),
    )


def _offering(entry: Document) -> Offering:
    return Offering(
        name=entry["name"],
        title=entry["title"],
        description=entry["description"],
        kind=values.ServiceKind(entry["kind"]),
        provider=entry["provider"],
        regions=tuple(entry.get("regions", DEFAULT_REGIONS)),
        is_retired=entry.get("retired", False),
        plans=tuple(_plan(plan) for plan in entry["plans"]),
    )


def _plan(entry: Document) -> Plan:
    return Plan(
        name=entry["name"],
        title=entry["title"],
        description=entry["description"],
        is_default=entry.get("default", False),
        settings=entry.get("settings", {}),
        parameters=entry["parameters"],
    )


def _offering_problems(document: Document) -> Iterator[errors.Problem]:
    yield from _repeated("offerings", (entry["name"] for entry in document["offerings"]))
    for index, entry in enumerate(document["offerings"]):
        path = f"offerings.{index}"
        if entry["kind"] not in document["kinds"]:
            yield errors.Problem(path=f"{path}.kind", message=f"{entry['kind']} is no kind above")
        yield from _repeated(f"{path}.plans", (plan["name"] for plan in entry["plans"]))
        if sum(plan.get("default", False) for plan in entry["plans"]) != 1:
            yield errors.Problem(path=f"{path}.plans", message="exactly one must be the default")
        for number, plan in enumerate(entry["plans"]):
            yield from _schema_problems(f"{path}.plans.{number}.parameters", plan["parameters"])


def _schema_problems(path: str, schema: Document) -> Iterator[errors.Problem]:
    if len(json.dumps(schema, default=str)) > _SCHEMA_LIMIT:
        yield errors.Problem(path=path, message=f"is larger than {_SCHEMA_LIMIT} bytes")
        return
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        yield errors.Problem(path=path, message=f"is no JSON Schema: {error.message[:_SHOWN]}")
        return
    known = schema.get("$defs", {})
    for reference in _references(schema):
        match = _LOCAL_REFERENCE.fullmatch(reference)
        if not match or match.group(1) not in known:
            yield errors.Problem(
                path=path, message=f"{reference} must be #/$defs/ and a name that stands there"
            )


def _references(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in {"$ref", "$dynamicRef"} and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _variable_problems(document: Document) -> Iterator[errors.Problem]:
    """Yield names that two kinds could both give, and reserved names that one could give."""
    kinds: Mapping[str, Document] = document["kinds"]
    yield from _repeated("kinds", (entry["variable"] for entry in kinds.values()))
    yield from _repeated("kinds", (kind["alias"] for kind in kinds.values() if "alias" in kind))
    for name, entry in kinds.items():
        ending = re.escape(entry["variable"].removeprefix(_PLACE))
        given = re.compile(f"{_PREFIX}{ending}")
        others = {kind["alias"] for kind in kinds.values() if "alias" in kind}
        for taken in sorted({*document["reserved"], *others}):
            if given.fullmatch(taken) or (
                taken == entry.get("alias") and taken in document["reserved"]
            ):
                yield errors.Problem(
                    path=f"kinds.{name}", message=f"could give {taken}, which has another meaning"
                )


def _repeated(path: str, names: Iterable[str]) -> Iterator[errors.Problem]:
    for name, count in Counter(names).items():
        if count > 1:
            yield errors.Problem(path=path, message=f"{name} stands there {count} times")


def _without_values(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Say which rule is broken; the message would quote what was given, which may be a secret."""
    if error.validator not in _NAMING_RULES:
        error.message = f"does not fit the rule {error.validator}: {error.validator_value}"
    return error


def _problems(found: Iterable[jsonschema.ValidationError], *, start: str) -> list[errors.Problem]:
    problems = [
        errors.Problem(
            path=".".join([*filter(None, [start]), *map(str, error.absolute_path)]),
            message=error.message if len(error.message) <= _SHOWN else f"{error.message[:_SHOWN]}…",
        )
        for error in found
    ]
    return sorted(problems, key=lambda problem: (problem.path, problem.message))
