import pytest

from domain import errors
from domain.errors import RefusalCode
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio

ADD = """
mutation ($environment: ID!, $prefix: String, $deep: Boolean = true) {
  added: addService(
    input: {environment: $environment, offering: "postgres", prefix: $prefix}
  ) {
    __typename
    ... on AddServiceSuccess {
      position
      serviceInstance { prefix history(first: 1) @include(if: $deep) { nodes { event } } }
    }
    ... on Refusal { code message }
    ... on TakenRefusal { holder { __typename id } again: holder {
      ... on ServiceInstance { prefix } } }
    ... on NotFoundRefusal { id }
    ... on InputRefusal { problems { path message } }
    ... on QuotaRefusal { limit used }
  }
}
"""


async def test_success_is_read_with_one_statement(api: Api, shop: Shop) -> None:
    await api.ask(
        """mutation ($id: ID!) { setSubscription(input: {project: $id,
        units: [{offering: "postgres", units: 9}]}) { ... on Refusal { message } } }""",
        id=shop.id("project"),
    )

    data = await api.ask(ADD, environment=shop.id("test"), prefix="reports")

    assert data["added"]["__typename"] == "AddServiceSuccess"
    assert data["added"]["serviceInstance"] == {
        "prefix": "REPORTS",
        "history": {"nodes": [{"event": "ServiceAdded"}]},
    }
    assert data["added"]["position"] == str(await api.parts.event_log.head())
    assert len(api.statements) == 1


async def test_refusals_carry_what_helps(api: Api, shop: Shop) -> None:
    await api.ask(
        """mutation ($id: ID!) { setSubscription(input: {project: $id,
        units: [{offering: "postgres", units: 9}]}) { ... on Refusal { message } } }""",
        id=shop.id("project"),
    )

    taken = await api.ask(ADD, environment=shop.id("test"), prefix=None)
    missing = await api.ask(ADD, environment="nothing", prefix=None)
    wrong = await api.ask(ADD, environment=shop.id("test"), prefix="_")

    assert taken["added"]["code"] == "PREFIX_TAKEN"
    assert taken["added"]["holder"] == {"__typename": "ServiceInstance", "id": shop.id("database")}
    assert taken["added"]["again"] == {"prefix": "DEFAULT"}
    assert (missing["added"]["__typename"], missing["added"]["id"]) == (
        "NotFoundRefusal",
        "nothing",
    )
    assert wrong["added"]["code"] == "PREFIX_INVALID"
    assert wrong["added"]["problems"][0]["path"] == "prefix"


class UnheardOfRefusedError(errors.RefusedError):
    """A refusal that the schema has no type for."""


async def test_refusal_without_a_type_is_no_other_refusal(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(**_: object) -> None:
        raise UnheardOfRefusedError(code=RefusalCode.NOT_READY, message="not now")

    monkeypatch.setattr(api.parts.application.projects, "create_project", refuse)

    codes = await api.codes('mutation { createProject(input: {name: "x"}) { __typename } }')

    assert codes == ["INTERNAL"]


@pytest.mark.parametrize("unknown", ["prj_zz", "prj_" + "0" * 32])
async def test_whichever_id_is_not_there_is_told(api: Api, shop: Shop, unknown: str) -> None:
    projects = [shop.id("project"), unknown]

    answer = await api.ask(
        """mutation ($projects: [ID!]) { createToken(input: {name: "x", subject: "joan",
        roles: [VIEWER], projects: $projects}) { ... on NotFoundRefusal { code id } } }""",
        projects=projects,
    )

    assert answer["createToken"] == {"code": "PROJECT_NOT_FOUND", "id": unknown}


async def test_problems_are_told_where_the_input_has_them(api: Api, shop: Shop) -> None:
    """Each in the words of the schema."""
    answer = await api.ask(
        """mutation ($test: ID!, $shop: ID!, $nul: String!, $settings: JSON!) {
        deploy(input: {environment: $test, expectedPlan: $nul}) {
          ... on InputRefusal { problems { path } } }
        configureDeployer(input: {environment: $test, kind: EXTERNAL, settings: $settings}) {
          ... on InputRefusal { problems { path } } }
        setSubscription(input: {project: $shop, units: [
          {offering: "postgres", units: 9}, {offering: "oracle", units: 1}]}) {
          ... on InputRefusal { code problems { path } } } }""",
        test=shop.id("test"),
        shop=shop.id("project"),
        nul="\0",
        settings={"some_name": ["fine", "\0"]},
    )

    assert answer == {
        "deploy": {"problems": [{"path": "expectedPlan"}]},
        "configureDeployer": {"problems": [{"path": "settings.some_name.1"}]},
        "setSubscription": {
            "code": "OFFERING_UNKNOWN",
            "problems": [{"path": "units.1.offering"}],
        },
    }


@pytest.mark.parametrize("subject", ["servicebook", "ada\nlovelace", " ", "a" * 256])
async def test_nobody_is_a_member_whom_no_token_can_speak_for(
    api: Api, shop: Shop, subject: str
) -> None:
    answer = await api.ask(
        """mutation ($project: ID!, $subject: String!) {
        addMember(input: {project: $project, subject: $subject, role: VIEWER}) {
          ... on InputRefusal { code problems { path } } } }""",
        project=shop.id("project"),
        subject=subject,
    )

    assert answer["addMember"] == {"code": "INVALID_INPUT", "problems": [{"path": "subject"}]}


async def test_plan_that_went_stale_comes_with_the_current_one(api: Api, shop: Shop) -> None:
    data = await api.ask(
        """mutation ($id: ID!) { deploy(input: {environment: $id, expectedPlan: "1.stale"}) {
          ... on PlanRefusal { code added removed currentPlan {
            digest actions { kind instance { prefix } } } } } }""",
        id=shop.id("test"),
    )

    assert data["deploy"]["code"] == "PLAN_STALE"
    assert data["deploy"]["currentPlan"]["actions"][0]["instance"] == {"prefix": "DEFAULT"}
