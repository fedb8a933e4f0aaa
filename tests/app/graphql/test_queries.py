import asyncio
import dataclasses
from typing import Any

import psycopg
import pytest

from app import asgi
from app.graphql import limits
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio

PROJECT = """
query ($id: ID!) {
  project(id: $id) {
    id name createdAt version
    members { subject role addedAt }
    subscription { offering { name } units used overQuota }
    environments {
      name protected deleted project { name }
      deployer { kind settings }
      runningRevision { number } runningDeployment { id }
      serviceInstances { totalCount nodes { prefix kind } }
      deployments { nodes { id } }
      deploymentPlan {
        digest actions { kind instance { prefix kind environment { name } } }
        variablesAdded variablesRemoved variablesChanged
        blockers { code message instance { prefix } } warnings { code }
      }
    }
  }
}
"""


async def test_one_statement_answers_a_whole_tree(api: Api, shop: Shop) -> None:
    data = await api.ask(PROJECT, id=shop.id("project"))

    project = data["project"]
    assert project["id"] == shop.id("project")
    assert project["members"][0]["role"] == "MANAGER"
    assert [each["name"] for each in project["environments"]] == ["test", "live"]
    test = project["environments"][0]
    assert test["serviceInstances"]["totalCount"] == 2
    assert test["deployer"] == {"kind": "ENV_FILE", "settings": {}}
    plan = test["deploymentPlan"]
    assert {action["kind"] for action in plan["actions"]} == {"PROVISION", "ATTACH"}
    assert plan["actions"][0]["instance"]["environment"] == {"name": "test"}
    assert "DATABASE_URL" in plan["variablesAdded"]
    assert len(api.statements) == 1


async def test_everything_of_an_instance_can_be_asked(api: Api, shop: Shop) -> None:
    data = await api.ask(
        """
        query ($id: ID!) {
          serviceInstance(id: $id) {
            id kind plan nextPlan region prefix parameters nextParameters state functional
            usableByApplication wanted parked protected abandoned
            operation { kind status error { code message } attempt startedAt deadline
              nextAttemptAt }
            removalRequested removalScheduledFor inDeployment { deployment { id } role }
            variableNames secretVersion confirmation createdAt updatedAt version
            offering { name title description kind configured retired
              plans { name title description default parametersSchema } }
            environment { project { environments { name } } }
            history(last: 1) { totalCount nodes {
              position event state sentence actor reason recordedAt deployment { id } details
              correlationId } }
          }
        }
        """,
        id=shop.id("database"),
    )

    instance = data["serviceInstance"]
    assert instance["id"] == shop.id("database")
    assert (instance["state"], instance["wanted"], instance["operation"]) == ("NEW", True, None)
    assert instance["variableNames"] == ["DEFAULT_DATABASE_DSN", "DATABASE_URL"]
    assert instance["offering"]["name"] == "postgres"
    assert instance["offering"]["plans"][0]["default"] is True
    assert instance["createdAt"].endswith("Z")
    assert len(instance["createdAt"]) == len("2026-01-01T00:00:00.000000Z")
    [entry] = instance["history"]["nodes"]
    assert entry["event"] == "ServiceAdded"
    assert int(entry["position"]) > 0
    assert len(api.statements) == 1


async def test_roots_aliases_and_merged_selections_share_the_statement(
    api: Api, shop: Shop
) -> None:
    data = await api.ask(
        """
        query ($id: ID!, $live: ID!) {
          catalogue { name plans { name } }
          projects { nodes { name } }
          test: environment(by: {id: $live}) { a: name name id id }
          test: environment(by: {id: $live}) { project { id } }
          test: environment(by: {id: $live}) { project { name } }
          one: serviceInstance(id: $id) { ...Some }
          two: serviceInstance(id: $id) { ... on Node { id } ... { again: prefix } ...Some }
          deployment(id: "dep_00000000000000000000000000000000") { id }
          unfinishedRemovals { nodes { id } }
          orphans { totalCount edges { node { id } } }
        }
        fragment Some on ServiceInstance { prefix ...Deeper }
        fragment Deeper on Node { __typename id }
        """,
        id=shop.id("database"),
        live=shop.id("live"),
    )

    assert data["test"] == {
        "a": "live",
        "name": "live",
        "id": shop.id("live"),
        "project": {"id": shop.id("project"), "name": "shop"},
    }
    assert data["one"] == {
        "prefix": "DEFAULT",
        "__typename": "ServiceInstance",
        "id": shop.id("database"),
    }
    assert data["two"]["again"] == "DEFAULT"
    assert data["deployment"] is None
    assert data["orphans"] == {"totalCount": 0, "edges": []}
    assert len(api.statements) == 1


async def test_environment_by_name(api: Api, shop: Shop) -> None:
    text = """query ($by: EnvironmentKey!) { environment(by: $by) { id } }"""

    found = await api.ask(text, by={"named": {"project": shop.id("project"), "name": "live"}})
    missing = await api.ask(text, by={"named": {"project": shop.id("project"), "name": "none"}})
    by_id = await api.ask(text, by={"id": shop.id("test")})

    assert found == {"environment": {"id": shop.id("live")}}
    assert missing == {"environment": None}
    assert by_id == {"environment": {"id": shop.id("test")}}


async def test_deleted_environment_is_reached_by_id_and_no_longer_by_name(
    api: Api, shop: Shop
) -> None:
    await api.execute("UPDATE read.environments SET is_deleted = true WHERE id = %s", [shop.test])

    data = await api.ask(
        """query ($id: ID!, $project: ID!) {
          byId: environment(by: {id: $id}) { name deleted }
          byName: environment(by: {named: {project: $project, name: "test"}}) { name }
          project(id: $project) { environments { name } }
        }""",
        id=shop.id("test"),
        project=shop.id("project"),
    )

    assert data["byId"] == {"name": "test", "deleted": True}
    assert data["byName"] is None
    assert {"name": "test"} not in data["project"]["environments"]


async def test_node_finds_each_type(api: Api, shop: Shop) -> None:
    text = """query ($id: ID!) { node(id: $id) {
      __typename id ... on Project { name } ... on Environment { project { name } }
      ... on ServiceInstance { prefix } ... on Deployment { number } } }"""

    project = await api.ask(text, id=shop.id("project"))
    environment = await api.ask(text, id=shop.id("test"))
    instance = await api.ask(text, id=shop.id("storage"))

    assert project["node"] == {"__typename": "Project", "id": shop.id("project"), "name": "shop"}
    assert environment["node"]["project"] == {"name": "shop"}
    assert instance["node"]["prefix"] == "DEFAULT"


@pytest.mark.parametrize(
    "id_",
    ["", "svc_", "svc_xyz", "nothing", "prj_" + "0" * 32, "svc_" + "G" * 32, "\x00", "\ud800", "1"],
)
async def test_unknown_ids_find_nothing(api: Api, id_: str) -> None:
    data = await api.ask(
        """query ($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } project(id: $id) { id }
          environment(by: {id: $id}) { id } serviceInstance(id: $id) { id }
          deployment(id: $id) { id }
          serviceInstances(filter: {project: $id}) { nodes { id } }
          then: serviceInstance(id: $id, at: {position: "9"}) { id } }""",
        id=id_,
    )

    assert data.pop("nodes") == [None]
    assert data.pop("serviceInstances") == {"nodes": []}
    assert set(data.values()) == {None}


async def test_nodes_keep_their_places(api: Api, shop: Shop) -> None:
    ids = [shop.id("storage"), "nonsense", shop.id("project"), shop.id("storage")]

    data = await api.ask(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Project { name } } }", ids=ids
    )

    assert data["nodes"] == [
        {"id": shop.id("storage")},
        None,
        {"id": shop.id("project"), "name": "shop"},
        {"id": shop.id("storage")},
    ]
    assert len(api.statements) == 1
    assert await api.codes("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 101) == [
        "BAD_USER_INPUT"
    ]


async def test_skip_and_include_decide_what_is_read(api: Api, shop: Shop) -> None:
    text = """query ($id: ID!, $more: Boolean!) { serviceInstance(id: $id) {
      id @skip(if: $more) prefix @include(if: $more)
      ... @include(if: $more) { history { nodes { event } } } } }"""

    less = await api.ask(text, id=shop.id("database"), more=False)
    assert "lifecycle_history" not in api.statements[0]
    more = await api.ask(text, id=shop.id("database"), more=True)

    assert less == {"serviceInstance": {"id": shop.id("database")}}
    assert more["serviceInstance"]["prefix"] == "DEFAULT"
    assert more["serviceInstance"]["history"]["nodes"] == [{"event": "ServiceAdded"}]


async def test_object_with_more_keys_than_a_function_takes(api: Api, shop: Shop) -> None:
    aliases = " ".join(f"a{number}: prefix" for number in range(120))
    api = dataclasses.replace(api, schema=asgi._schema(limits.Limits(aliases=120)))

    data = await api.ask(
        f"query ($id: ID!) {{ serviceInstance(id: $id) {{ {aliases} }} }}", id=shop.id("database")
    )

    assert list(data["serviceInstance"]) == [f"a{number}" for number in range(120)]
    assert set(data["serviceInstance"].values()) == {"DEFAULT"}


@pytest.mark.usefixtures("shop")
async def test_introspection_needs_no_statement_and_mixes_with_reading(api: Api) -> None:
    data = await api.ask("{ __typename __schema { queryType { name } } }")
    assert data == {"__typename": "Query", "__schema": {"queryType": {"name": "Query"}}}
    assert api.statements == []

    mixed = await api.ask('{ __type(name: "Project") { name } projects { nodes { name } } }')
    assert mixed == {"__type": {"name": "Project"}, "projects": {"nodes": [{"name": "shop"}]}}
    assert len(api.statements) == 1


async def test_viewer(api: Api) -> None:
    data = await api.ask("{ viewer { subject name beta roles } }")
    nobody = await api.answer("{ viewer { subject } __typename }", who=None)

    assert data == {
        "viewer": {"subject": "ada", "name": "Ada", "beta": True, "roles": ["OPERATOR"]}
    }
    assert nobody.data == {"viewer": None, "__typename": "Query"}


@pytest.mark.usefixtures("shop")
async def test_nobody_reads_without_a_token(api: Api) -> None:
    answer = await api.answer("{ viewer { subject } projects { nodes { id } } }", who=None)

    assert [error.extensions["code"] for error in answer.errors] == ["UNAUTHENTICATED"]
    assert api.statements == []


HOSTILE = ["'", '"; DROP TABLE read.projects; --', "%s %(p0)s %%", "{there}", "\\", "$1", "''::x"]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("text", HOSTILE)
async def test_text_is_never_sql(api: Api, text: str) -> None:
    data = await api.ask(
        """query ($text: String!, $id: ID!) {
          serviceInstances(filter: {prefix: $text, offering: [$text]}) { nodes { id } }
          environment(by: {named: {project: $id, name: $text}}) { id }
          auditEvents(filter: {events: [$text], actor: $text, correlationId: $id}) { nodes { id } }
        }""",
        text=text,
        id=text,
    )

    assert data == {
        "serviceInstances": {"nodes": []},
        "environment": None,
        "auditEvents": {"nodes": []},
    }
    literal = await api.ask(
        "{ serviceInstances(filter: {prefix: %s}) { nodes { id } } }" % _graphql(text)  # noqa: UP031
    )
    assert literal == {"serviceInstances": {"nodes": []}}
    assert await api.codes(
        "query ($text: String!) { projects(after: $text) { nodes { id } } }", text=text
    ) == ["BAD_USER_INPUT"]


def _graphql(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.usefixtures("shop")
async def test_text_that_cannot_be_stored_is_refused(api: Api) -> None:
    for text in ("\x00", "\ud800"):
        assert await api.codes(
            """query ($text: String!) { serviceInstances(filter: {prefix: $text}) {
            nodes { id } } }""",
            text=text,
        ) == ["BAD_USER_INPUT"]


async def _waiting_for_a_lock(connection: psycopg.AsyncConnection[Any]) -> int:
    cursor = await connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    )
    [(count,)] = await cursor.fetchall()
    return int(count)


async def test_statement_that_takes_too_long_is_stopped(api: Api, shop: Shop) -> None:
    api.reader.seconds = 0.2
    async with api.parts.pool.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE read.projects IN ACCESS EXCLUSIVE MODE")
        assert await api.codes("{ projects { nodes { id } } }") == ["TIMEOUT"]
        async with asyncio.timeout(10):
            while await _waiting_for_a_lock(connection):  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.01)

    data = await api.ask("{ projects { nodes { id } } }")
    assert data["projects"]["nodes"] == [{"id": shop.id("project")}]
