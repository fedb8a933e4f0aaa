import json
import uuid

import pytest

from app.graphql import identifiers
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio

PLAN = "{ digest actions { kind instance { prefix } } variablesAdded blockers { code message "
PLAN += "instance { id } } warnings { message } }"


@pytest.fixture
async def deployment(api: Api, shop: Shop) -> str:
    """The second, failed deployment of `test`; the first one made its running revision."""
    plan = {
        "digest": "1.abc",
        "actions": [
            {"kind": "DETACH", "service_instance_id": str(shop.storage), "line": "x"},
            {"kind": "ATTACH", "service_instance_id": str(shop.database), "line": "y"},
        ],
        "variables_added": ["A"],
        "variables_removed": [],
        "variables_changed": [],
        "blockers": [{"code": "C", "message": "m", "service_instance_id": None}],
        "warnings": [],
    }
    first, second = uuid.uuid4(), uuid.uuid4()
    for number, id_, status in ((1, first, "SUCCEEDED"), (2, second, "FAILED")):
        error = (None, None, None) if status == "SUCCEEDED" else ("RELEASE", "NO", "It said no.")
        await api.execute(
            """INSERT INTO read.deployments VALUES (%s, %s, %s, 'test', %s, %s, 'RELEASE',
            '[]', 1, NULL, NULL, NULL, %s, %s, %s, %s, %s,
            'ada', now(), now(), now() + interval '1 hour', now(), 3, 50)""",
            [id_, shop.project, shop.test, number, status, *error, json.dumps(plan), number],
        )
    await api.execute(
        "INSERT INTO read.revisions VALUES (%s, 1, %s, %s, now(), 40)",
        [
            shop.test,
            first,
            json.dumps(
                [{"name": "A", "service_instance_id": str(shop.database), "secret_version": 2}]
            ),
        ],
    )
    await api.execute(
        "UPDATE read.environments SET running_revision = 1, running_deployment_id = %s"
        " WHERE id = %s",
        [second, shop.test],
    )
    await api.execute(
        "UPDATE read.service_instances SET deployment_id = %s, deployment_role = 'ATTACH',"
        " operation_id = id, operation_kind = 'PROVISION', operation_status = 'FAILED',"
        " operation_attempt = 1, operation_started_at = now(), operation_deadline = now(),"
        " operation_error_code = 'GONE', operation_error_message = 'It is gone.'"
        " WHERE id = %s",
        [second, shop.database],
    )
    return identifiers.text(type_name="Deployment", uuid=second)


async def test_deployment_with_its_stored_plan(api: Api, shop: Shop, deployment: str) -> None:
    data = await api.ask(
        f"""query ($id: ID!) {{ deployment(id: $id) {{
          id number status step error {{ step code message }} plan {PLAN}
          environment {{ id runningDeployment {{ number }} }} revision requestedBy
          startedAt endedAt deadline version }}
          node(id: $id) {{ ... on Deployment {{ number }} }} }}""",
        id=deployment,
    )

    found = data["deployment"]
    assert (found["number"], found["status"]) == (2, "FAILED")
    assert found["error"] == {"step": "RELEASE", "code": "NO", "message": "It said no."}
    assert [action["kind"] for action in found["plan"]["actions"]] == ["DETACH", "ATTACH"]
    assert found["plan"]["blockers"] == [{"code": "C", "message": "m", "instance": None}]
    assert found["environment"] == {"id": shop.id("test"), "runningDeployment": {"number": 2}}
    assert data["node"] == {"number": 2}
    assert len(api.statements) == 1


async def test_environment_tells_of_its_deployments(api: Api, shop: Shop, deployment: str) -> None:
    data = await api.ask(
        """query ($id: ID!) { environment(by: {id: $id}) {
          deployments(first: 1) { nodes { id } pageInfo { hasNextPage } }
          runningRevision { number deployedAt deployment { number }
            variables { name secretVersion instance { prefix kind } } }
          serviceInstances(filter: {kind: [DATABASE]}) { nodes {
            inDeployment { role deployment { number } }
            operation { kind status attempt error { code message } nextAttemptAt } } } } }""",
        id=shop.id("test"),
    )

    environment = data["environment"]
    assert environment["deployments"] == {
        "nodes": [{"id": deployment}],
        "pageInfo": {"hasNextPage": True},
    }
    assert environment["runningRevision"]["variables"] == [
        {"name": "A", "secretVersion": 2, "instance": {"prefix": "DEFAULT", "kind": "DATABASE"}}
    ]
    [instance] = environment["serviceInstances"]["nodes"]
    assert instance["inDeployment"] == {"role": "ATTACH", "deployment": {"number": 2}}
    assert instance["operation"]["error"] == {"code": "GONE", "message": "It is gone."}


async def test_plans_within_plans_are_drawn_up_once_each(api: Api, shop: Shop) -> None:
    data = await api.ask(
        """query ($id: ID!) { environment(by: {id: $id}) {
          first: deploymentPlan { actions { kind instance { environment {
            deploymentPlan { digest actions { a: instance { prefix } } } } } } }
          second: deploymentPlan { digest __typename actions { __typename instance { id } } }
        } }""",
        id=shop.id("test"),
    )

    environment = data["environment"]
    [inner, *_] = environment["first"]["actions"]
    within = inner["instance"]["environment"]["deploymentPlan"]
    assert within["digest"] == environment["second"]["digest"]
    assert within["actions"][0] == {"a": {"prefix": "DEFAULT"}}
    assert environment["second"]["__typename"] == "DeploymentPlan"
    assert len(api.statements) == 1
