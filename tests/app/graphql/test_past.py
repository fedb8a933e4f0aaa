import pytest

from app.application import request
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio

THEN = """
query ($id: ID!, $at: Moment) {
  serviceInstance(id: $id, at: $at) {
    prefix wanted version updatedAt environment { name }
    history { totalCount nodes { event position recordedAt } }
  }
}
"""


async def test_instance_as_it_was(api: Api, shop: Shop) -> None:
    services = api.parts.application.services
    for prefix in ("FIRST", "SECOND"):
        await services.rename_prefix(
            request=request.Request(actor="grace", name="renamePrefix"),
            service_instance_id=shop.database,
            prefix=prefix,
        )
    now = (await api.ask(THEN, id=shop.id("database")))["serviceInstance"]
    assert now["history"]["nodes"][0]["event"] == "ServiceAdded"
    _, renamed, _ = now["history"]["nodes"]

    by_position = await api.ask(THEN, id=shop.id("database"), at={"position": renamed["position"]})
    by_time = await api.ask(THEN, id=shop.id("database"), at={"time": renamed["recordedAt"]})

    then = by_position["serviceInstance"]
    assert then["prefix"] == "FIRST"
    assert then["updatedAt"] == renamed["recordedAt"]
    assert then["environment"] == {"name": "test"}
    assert then["history"]["totalCount"] == 2
    assert by_time == by_position
    assert now["prefix"] == "SECOND"


async def test_before_its_first_event_there_was_nothing(api: Api, shop: Shop) -> None:
    early = await api.ask(THEN, id=shop.id("database"), at={"position": "1"})
    long_ago = await api.ask(THEN, id=shop.id("database"), at={"time": "2001-01-01T00:00:00Z"})
    later = await api.ask(THEN, id=shop.id("database"), at={"position": "9223372036854775807"})

    assert early == long_ago == {"serviceInstance": None}
    assert later["serviceInstance"]["prefix"] == "DEFAULT"


@pytest.mark.parametrize(
    "at",
    [
        {},
        {"position": "1", "time": "2026-01-01T00:00:00Z"},
        {"position": "-1"},
        {"position": "9223372036854775808"},
        {"position": 1},
        {"time": "yesterday"},
        {"time": "2026-01-01T00:00:00"},
        {"time": "0001-01-01T00:00:00+01:00"},
        {"time": "9999-12-31T23:59:59-01:00"},
    ],
)
async def test_what_is_no_moment_is_refused(api: Api, shop: Shop, at: dict[str, object]) -> None:
    assert await api.codes(THEN, id=shop.id("database"), at=at) == ["BAD_USER_INPUT"]


async def test_audit_events(api: Api, shop: Shop) -> None:
    text = """query ($filter: AuditEventFilter, $first: Int, $after: String) {
      auditEvents(filter: $filter, first: $first, after: $after) {
        totalCount pageInfo { endCursor hasNextPage }
        edges { cursor node { position id event subject { __typename id
            ... on ServiceInstance { prefix environment { name } } }
          actor reason recordedAt commandId correlationId causationId details } } } }"""

    everything = (await api.ask(text))["auditEvents"]
    services = await api.ask(text, filter={"events": ["ServiceAdded"], "actor": "ada"})
    about = await api.ask(text, filter={"subject": shop.id("database")})
    inside = await api.ask(text, filter={"project": shop.id("project")})
    second = await api.ask(text, first=1, after=everything["edges"][0]["cursor"])

    nodes = [edge["node"] for edge in everything["edges"]]
    assert [int(node["position"]) for node in nodes] == list(range(1, len(nodes) + 1))
    assert [edge["cursor"] for edge in everything["edges"]] == [n["position"] for n in nodes]
    assert nodes[0]["subject"] == {"__typename": "Project", "id": shop.id("project")}
    assert "timestamp" not in nodes[0]["details"]
    assert nodes[0]["details"]["name"] == "shop"
    assert services["auditEvents"]["totalCount"] == 4
    [added] = about["auditEvents"]["edges"]
    assert added["node"]["subject"]["prefix"] == "DEFAULT"
    assert inside["auditEvents"]["totalCount"] == len(nodes)
    assert second["auditEvents"]["edges"][0]["node"]["position"] == "2"
    assert second["auditEvents"]["pageInfo"] == {"endCursor": "2", "hasNextPage": True}
    correlated = await api.ask(text, filter={"correlationId": nodes[0]["correlationId"]})
    assert correlated["auditEvents"]["totalCount"] == len(nodes)
