import graphql
import pytest

from app.graphql import schema
from domain import deployment_plan, states, values

BUILT = schema.build(mutation=None)._schema


def test_everything_is_described():
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
def test_enums_are_those_of_the_domain(name, enum):
    assert list(BUILT.type_map[name].values) == [member.name for member in enum]


def test_every_field_of_a_row_has_a_source():
    answered_by_python = {"Query", "Mutation", "Subscription", "Viewer", "PageInfo", "InputProblem"}
    missing = [
        f"{type_.name}.{name}"
        for type_ in BUILT.type_map.values()
        if isinstance(type_, graphql.GraphQLObjectType)
        and not type_.name.startswith("__")
        and not type_.name.endswith(("Connection", "Edge", "Refusal"))
        and type_.name not in answered_by_python
        for name, field in type_.fields.items()
        if not field.extensions["strawberry-definition"].metadata.get("source")
    ]

    assert missing == []


@pytest.mark.anyio
async def test_inputs_choose_one(api):
    data = await api.ask('{ __type(name: "Moment") { isOneOf } }')

    assert data == {"__type": {"isOneOf": True}}
    for by in ("{}", '{id: "a", named: {project: "b", name: "c"}}', "{id: null}"):
        codes = await api.codes(f"{{ environment(by: {by}) {{ id }} }}")
        assert set(codes) == {"BAD_USER_INPUT"}
