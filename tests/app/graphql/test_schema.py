from enum import StrEnum
from pathlib import Path

import graphql
import pytest

from app import asgi
from domain import deployment_plan, states, values
from tests.app.graphql.asking import Api

BUILT = asgi._schema()._schema
ROOT = Path(__file__).parents[3]


def test_everything_is_described() -> None:
    missing = []
    for type_ in BUILT.type_map.values():
        if type_.name.startswith("__") or graphql.is_specified_scalar_type(type_):
            continue
        if not type_.description:
            missing.append(type_.name)
        for name, field in getattr(type_, "fields", {}).items():
            if not field.description:
                missing.append(f"{type_.name}.{name}")
            missing += [
                f"{type_.name}.{name}({argument})"
                for argument, definition in getattr(field, "args", {}).items()
                if not definition.description
            ]
        missing += [
            f"{type_.name}.{name}"
            for name, value in getattr(type_, "values", {}).items()
            if not value.description
        ]

    assert missing == []


@pytest.mark.parametrize(
    ("name", "enum"),
    [
        ("ServiceInstanceState", states.ServiceInstanceState),
        ("DeploymentStatus", values.DeploymentStatus),
        ("PlannedActionKind", deployment_plan.PlannedActionKind),
    ],
)
def test_enums_are_those_of_the_domain(name: str, enum: type[StrEnum]) -> None:
    assert list(BUILT.type_map[name].values) == [member.name for member in enum]


def test_every_field_of_a_row_has_a_source() -> None:
    answered_by_python = {
        "Query",
        "Mutation",
        "Subscription",
        "Viewer",
        "PageInfo",
        "InputProblem",
        "RevealedVariable",
        "AuditCheckpoint",
        "InclusionProof",
        "ConsistencyProof",
    }
    missing = [
        f"{type_.name}.{name}"
        for type_ in BUILT.type_map.values()
        if isinstance(type_, graphql.GraphQLObjectType)
        and not type_.name.startswith("__")
        and not type_.name.endswith(("Connection", "Edge", "Refusal", "Success"))
        and type_.name not in answered_by_python
        for name, field in type_.fields.items()
        if not field.extensions["strawberry-definition"].metadata.get("source")
    ]

    assert missing == []


@pytest.mark.anyio
async def test_inputs_choose_one(api: Api) -> None:
    data = await api.ask('{ __type(name: "Moment") { isOneOf } }')

    assert data == {"__type": {"isOneOf": True}}
    for by in ("{}", '{id: "a", named: {project: "b", name: "c"}}', "{id: null}"):
        codes = await api.codes(f"{{ environment(by: {by}) {{ id }} }}")
        assert set(codes) == {"BAD_USER_INPUT"}


def test_a_version_is_promised_where_some_mutation_takes_it() -> None:
    with_version = {
        name: type_.fields["version"]
        for name, type_ in BUILT.type_map.items()
        if isinstance(type_, graphql.GraphQLObjectType) and "version" in type_.fields
    }
    changed = {
        graphql.get_named_type(field.type).name
        for name, type_ in BUILT.type_map.items()
        if isinstance(type_, graphql.GraphQLInputObjectType) and "expectedVersion" in type_.fields
        for field in BUILT.type_map[f"{name.removesuffix('Input')}Success"].fields.values()
    }

    assert {name for name, it in with_version.items() if "expectedVersion" in it.description} == (
        changed & set(with_version)
    )


def test_printed_schema_is_the_one_in_the_code() -> None:
    printed = (ROOT / "schema.graphql").read_text("utf-8")

    assert printed == asgi.sdl(), "print it again: python -m app.graphql.schema"
