"""What was, what is different since, and what led to what."""

import asyncio
import contextlib
import json
from typing import Any

import pytest

from app.application import request
from app.graphql import identifiers
from app.graphql.types import subscription
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio

THEN = """
query ($by: EnvironmentKey!, $at: Moment) {
  environment(by: $by, at: $at) {
    name protected deleted version runningRevision { number } runningDeployment { number status }
    serviceInstances(orderBy: PREFIX_ASC) { totalCount nodes { prefix state version } }
    deployments { totalCount nodes { number status } }
  }
}
"""
DIFF = """
query ($id: ID!, $from: Moment!, $to: Moment) {
  historyDiff(id: $id, from: $from, to: $to) {
    since until
    changes { subject { __typename id } field before after }
    events { totalCount nodes { event actor reason } }
  }
}
"""


async def head(api: Api) -> dict[str, str]:
    """Return the moment that is now."""
    return {"position": str(await api.parts.event_log.head())}


async def rename(api: Api, shop: Shop, prefix: str, *, actor: str = "grace") -> None:
    await api.parts.application.services.rename_prefix(
        request=request.Request(actor=actor, name="renamePrefix"),
        service_instance_id=shop.database,
        prefix=prefix,
    )


async def deploy(api: Api, shop: Shop) -> None:
    """Begin a deployment; no worker goes on with it, and no provider is asked."""
    for service in (shop.database, shop.storage):
        await api.parts.application.services.detach(
            request=request.Request(actor="grace", name="detachService"),
            service_instance_id=service,
        )
    await api.parts.application.deployments.deploy(
        request=request.Request(actor="grace", name="deploy"),
        environment_id=shop.test,
        expected_plan=None,
    )


async def test_environment_as_it_was(api: Api, shop: Shop) -> None:
    by = {"id": shop.id("test")}
    before = await head(api)
    expected = (await api.ask(THEN, by=by))["environment"]
    await rename(api, shop, "RENAMED")
    await deploy(api, shop)
    await api.parts.application.projects.set_subscription(
        request=request.Request(actor="grace", name="setSubscription"),
        project_id=shop.project,
        units={"postgres": 3},
    )
    await api.parts.application.services.add(
        request=request.Request(actor="grace", name="addService"),
        environment_id=shop.test,
        offering="postgres",
        plan=None,
        prefix="LATER",
        parameters={},
    )

    then = (await api.ask(THEN, by=by, at=before))["environment"]
    named = {"named": {"project": shop.id("project"), "name": "test"}}
    by_name = (await api.ask(THEN, by=named, at=before))["environment"]
    now = (await api.ask(THEN, by=by))["environment"]
    again = (await api.ask(THEN, by=by, at=await head(api)))["environment"]

    assert then == by_name == expected
    assert then["deployments"]["totalCount"] == 0
    assert {it["prefix"] for it in then["serviceInstances"]["nodes"]} == {"DEFAULT"}
    assert now["runningDeployment"] == {"number": 1, "status": "RUNNING"}
    assert now["serviceInstances"]["totalCount"] == 3
    assert again == now


async def test_a_command_is_one_moment(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R35: no reader sees a part, and whatever is named is there"""
    monkeypatch.setattr(api.parts.application.deployments, "_unavailable_offerings", frozenset)
    before = await head(api)
    await api.parts.application.deployments.deploy(
        request=request.Request(actor="grace", name="deploy"),
        environment_id=shop.test,
        expected_plan=None,
    )
    recorded = await api.parts.event_log.read(after=int(before["position"]), limit=100)
    text = """query ($by: EnvironmentKey!, $at: Moment) { environment(by: $by, at: $at) {
      version runningDeployment { number } deployments { totalCount }
      serviceInstances { nodes {
        id version state inDeployment { role deployment { number } } } } } }"""
    by = {"id": shop.id("test")}
    now = await api.ask(text, by=by)

    for each in recorded:
        for at in ({"position": str(each.position)}, {"time": each.recorded_at.isoformat()}):
            assert await api.ask(text, by=by, at=at) == now
    then = await api.ask(text, by=by, at=before)

    roles = [it["inDeployment"] for it in now["environment"]["serviceInstances"]["nodes"]]
    assert roles == [{"role": "ATTACH", "deployment": {"number": 1}}] * 2
    assert len({each.command_id for each in recorded}) == 1
    assert then["environment"]["deployments"]["totalCount"] == 0


async def test_within_a_command_the_history_is_told_event_by_event(api: Api, shop: Shop) -> None:
    environment = await api.parts.event_log.read(after=0, limit=1, originator_id=shop.test)
    created = str(environment[0].position)
    added = await api.parts.event_log.read(after=0, limit=1, originator_id=shop.database)

    then = await api.ask(
        """query ($id: ID!, $at: Moment) { environment(by: {id: $id}, at: $at) {
          serviceInstances { totalCount nodes { history { totalCount } } } } }""",
        id=shop.id("test"),
        at={"position": created},
    )
    between = await api.ask(
        DIFF,
        id=shop.id("test"),
        **{"from": {"position": created}, "to": {"position": str(added[0].position)}},
    )

    services = then["environment"]["serviceInstances"]
    assert services["totalCount"] == 2
    assert [it["history"]["totalCount"] for it in services["nodes"]] == [0, 0]
    assert between["historyDiff"]["since"] == created
    assert "ServiceAdded" in [it["event"] for it in between["historyDiff"]["events"]["nodes"]]


@pytest.mark.parametrize("at", [{"position": "0"}, {"time": "2001-01-01T00:00:00Z"}])
async def test_before_it_was_created_there_was_no_environment(
    api: Api, shop: Shop, at: dict[str, str]
) -> None:
    for by in ({"id": shop.id("test")}, {"named": {"project": shop.id("project"), "name": "test"}}):
        assert await api.ask(THEN, by=by, at=at) == {"environment": None}


async def test_a_plan_is_of_now(api: Api, shop: Shop) -> None:
    codes = await api.codes(
        "query ($by: EnvironmentKey!, $at: Moment) {"
        " environment(by: $by, at: $at) { deploymentPlan { digest } } }",
        by={"id": shop.id("test")},
        at=await head(api),
    )

    assert codes == ["BAD_USER_INPUT"]


async def test_what_is_different_in_a_service(api: Api, shop: Shop) -> None:
    before = await head(api)
    await rename(api, shop, "FIRST", actor="grace")
    between = await head(api)
    await rename(api, shop, "SECOND", actor="joan")

    first = await api.ask(DIFF, id=shop.id("database"), **{"from": before, "to": between})
    both = await api.ask(DIFF, id=shop.id("database"), **{"from": before})

    subject = {"__typename": "ServiceInstance", "id": shop.id("database")}
    changed = {it["field"]: (it["before"], it["after"]) for it in first["historyDiff"]["changes"]}
    assert {json.dumps(it["subject"]) for it in first["historyDiff"]["changes"]} == {
        json.dumps(subject)
    }
    assert changed.pop("prefix") == ("DEFAULT", "FIRST")
    assert set(changed) <= {"variableNames"}
    assert first["historyDiff"]["events"]["nodes"] == [
        {"event": "ServicePrefixRenamed", "actor": "grace", "reason": None}
    ]
    assert [it["actor"] for it in both["historyDiff"]["events"]["nodes"]] == ["grace", "joan"]
    assert "SECOND" in [it["after"] for it in both["historyDiff"]["changes"]]


async def test_what_is_different_in_an_environment(api: Api, shop: Shop) -> None:
    before = await head(api)
    await deploy(api, shop)

    diff = (await api.ask(DIFF, id=shop.id("test"), **{"from": before}))["historyDiff"]

    changed = {(it["subject"]["__typename"], it["field"]) for it in diff["changes"]}
    assert ("Environment", "runningDeployment") in changed
    assert ("ServiceInstance", "wanted") in changed
    [deployment] = [it["after"] for it in diff["changes"] if it["field"] == "runningDeployment"]
    assert identifiers.uuid_of(deployment, type_name="Deployment") is not None
    assert "EnvironmentDeploymentStarted" in [it["event"] for it in diff["events"]["nodes"]]
    assert diff["since"] == before["position"]


async def test_what_was_not_there_yet_had_no_values(api: Api, shop: Shop) -> None:
    diff = await api.ask(DIFF, id=shop.id("database"), **{"from": {"position": "0"}})

    changed = {it["field"]: (it["before"], it["after"]) for it in diff["historyDiff"]["changes"]}
    assert changed["state"] == (None, "NEW")
    assert diff["historyDiff"]["events"]["nodes"][0]["event"] == "ServiceAdded"


async def test_moments_in_the_wrong_order_are_refused(api: Api, shop: Shop) -> None:
    later = await head(api)

    codes = await api.codes(DIFF, id=shop.id("test"), **{"from": later, "to": {"position": "1"}})

    assert codes == ["BAD_USER_INPUT"]


async def test_nothing_is_different_in_what_is_not_there(api: Api, shop: Shop) -> None:
    for id_ in ("svc_" + "0" * 32, "nonsense", shop.id("project")):
        answer = await api.ask(DIFF, id=id_, **{"from": {"position": "0"}})

        assert answer == {"historyDiff": None}


async def test_history_tells_what_followed_from_what(api: Api, shop: Shop) -> None:
    await rename(api, shop, "CAUSE")
    read = await api.parts.event_log.read(after=0, limit=100, originator_id=shop.database)
    cause = read[-1]
    consequence = request.Request(
        actor="servicebook",
        name="renamePrefix",
        correlation_id=cause.correlation_id,
        causation_id=cause.event_id,
    )
    await api.parts.application.services.rename_prefix(
        request=consequence, service_instance_id=shop.database, prefix="CONSEQUENCE"
    )

    answer = await api.ask(
        """query ($id: ID!) { serviceInstance(id: $id) { history(last: 2) { nodes { record {
          id actor cause { id }
          consequences { nodes { id cause { id consequences { totalCount } } } }
          correlated { nodes { id } } } } } } }""",
        id=shop.id("database"),
    )

    first, second = [it["record"] for it in answer["serviceInstance"]["history"]["nodes"]]
    assert first["id"] == str(cause.event_id)
    assert first["cause"] is None
    assert second["cause"] == {"id": first["id"]}
    [followed] = [it for it in first["consequences"]["nodes"] if it["id"] == second["id"]]
    assert followed["cause"]["id"] == first["id"]
    assert followed["cause"]["consequences"]["totalCount"] == len(first["consequences"]["nodes"])
    for record in (first, second):
        ids = [it["id"] for it in record["correlated"]["nodes"]]
        assert {first["id"], second["id"]} <= set(ids)


async def progress(
    stream: Any,  # noqa: ANN401  an async generator
    *,
    until: int,
) -> list[dict[str, Any]]:
    """Return what is told up to a position."""
    found = []
    async with asyncio.timeout(20):
        async for result in stream:
            assert result.errors is None
            found.append(result.data["told"])
            if int(found[-1]["position"]) >= until:
                return found
    return found


async def test_progress_is_told_though_nothing_matched(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "_SILENCE", 0.05)
    stream = await api.stream(
        """subscription ($actor: String!) {
        told: auditProgress(after: "0", filter: { actor: $actor }) { at: position position
            __typename event { actor event } } }""",
        actor="grace",
    )
    async with contextlib.aclosing(stream):
        end = await api.parts.event_log.head()
        silent = await progress(stream, until=end)
        await rename(api, shop, "NEWS")
        told = await progress(stream, until=end + 1)

    assert silent[-1] == {
        "at": str(end),
        "position": str(end),
        "__typename": "AuditProgress",
        "event": None,
    }
    matched = [it for it in told if it["event"]]
    assert matched[0]["event"] == {"actor": "grace", "event": "ServicePrefixRenamed"} or (
        await progress(stream, until=end + 2)
    )
