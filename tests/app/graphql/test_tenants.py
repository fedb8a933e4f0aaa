"""Two projects of two people over HTTP: neither learns anything of the other's."""

import asyncio
import contextlib
import dataclasses
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app import asgi
from app.access import caller
from app.application import request, tokens
from app.graphql import identifiers
from domain import values
from tests.app.graphql import everything
from tests.app.graphql.asking import Api, Shop
from tests.app.graphql.test_access import QUERIES, WITHOUT_PLACE, Scene, arguments, inputs, scene
from tests.app.graphql.test_http import connect, exchange, served

pytestmark = pytest.mark.anyio

__all__ = ["scene"]


_HASH = re.compile(r"[A-Za-z0-9+/=]{40,}")
"""What proofs are made of, in which any word may be by chance."""
_MADE = "... on CreateProjectSuccess { project { id environments { id } } }"


@dataclasses.dataclass
class Person:
    """Somebody with a token, asking over HTTP."""

    subject: str
    client: httpx.AsyncClient

    async def ask(self, query: str, **variables: object) -> httpx.Response:
        return await self.client.post("/graphql", json={"query": query, "variables": variables})

    async def do(self, mutation: str, **given: object) -> Any:  # noqa: ANN401  any JSON
        type_ = f"{mutation[0].upper()}{mutation[1:]}Input"
        answer = await self.ask(
            f"mutation ($input: {type_}!) {{ {mutation}(input: $input) {{ __typename"
            " ... on Refusal { code message } ... on NotFoundRefusal { id }"
            " ... on TakenRefusal { holder { id } } ... on DeploymentRefusal { deployment { id } }"
            f" {_MADE if mutation == 'createProject' else ''} }} }}",
            input=given,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["data"][mutation]


@pytest.fixture
def beta_ended() -> bool:
    return True


async def token(api: Api, subject: str, **reach: Any) -> str:  # noqa: ANN401  fields of what is wanted
    _, made, _ = await api.parts.application.tokens.create(
        request=request.Request(actor="root", name="createToken"),
        wanted=tokens.Wanted(subject=subject, name=subject, **reach),
    )
    assert made is not None
    return made


@contextlib.asynccontextmanager
async def person(api: Api, subject: str, **reach: Any) -> AsyncIterator[Person]:  # noqa: ANN401  as above
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi.create(api.parts)),
        base_url="http://servicebook",
        headers={"Authorization": f"Bearer {await token(api, subject, **reach)}"},
        timeout=30,
    ) as client:
        yield Person(subject=subject, client=client)


@pytest.fixture
async def eve(api: Api) -> AsyncIterator[Person]:
    """Somebody with a project of her own, and none of ada's."""
    async with person(api, "eve") as made:
        yield made


def marks(scene: Scene) -> list[str]:
    """Return what would give the shop away."""
    shop = scene.shop
    ids = (shop.project, shop.test, shop.live, shop.database, shop.storage, scene.deployment)
    return ["shop", "ada", *(each.hex for each in ids), *map(str, ids)]


def assert_nothing_of(scene: Scene, text: str, *, given: object = "") -> None:
    """The shop is not in a text, beyond what somebody gave."""
    # Whole words: the letters of a name turn up in ids.
    found = [
        mark
        for mark in marks(scene)
        if re.search(rf"(?<![a-z0-9]){mark}(?![a-z0-9])", text) and mark not in json.dumps(given)
    ]
    assert found == [], text


async def test_no_query_tells_of_the_other(scene: Scene, eve: Person) -> None:
    own = await eve.do("createProject", name="garden")

    for name in QUERIES:
        for document in everything.documents(name, arguments(scene).get(name, "")):
            answer = await eve.ask(document)

            assert "errors" not in answer.json(), answer.text
            assert_nothing_of(scene, _HASH.sub("", answer.text))
    seen = (await eve.ask("{ projects { totalCount nodes { id } } }")).json()["data"]["projects"]
    assert seen == {"totalCount": 1, "nodes": [{"id": own["project"]["id"]}]}


async def test_filters_counts_and_the_past_tell_nothing(scene: Scene, eve: Person) -> None:
    await eve.do("createProject", name="garden")
    project, test = scene.shop.id("project"), scene.shop.id("test")

    answer = await eve.ask(
        """query ($project: ID!, $test: ID!, $service: ID!, $all: [ID!]!) {
          services: serviceInstances(filter: {project: $project}) { totalCount nodes { id } }
          there: serviceInstances(filter: {environment: $test}) { totalCount nodes { id } }
          events: auditEvents(filter: {project: $project}) { totalCount nodes { id } }
          about: auditEvents(filter: {subject: $service}) { totalCount nodes { id } }
          by: auditEvents(filter: {actor: "ada"}) { totalCount nodes { id } }
          named: environment(by: {named: {project: $project, name: "test"}}) { id }
          then: serviceInstance(id: $service, at: {position: "1000000"}) { id }
          nodes(ids: $all) { id }
          unfinishedRemovals { totalCount } orphans { totalCount } tokens { totalCount } }""",
        project=project,
        test=test,
        service=scene.shop.id("database"),
        all=[project, test],
    )

    nothing = {"totalCount": 0, "nodes": []}
    assert answer.json()["data"] == {
        **dict.fromkeys(["services", "there", "events", "about", "by"], nothing),
        **dict.fromkeys(["named", "then"]),
        "nodes": [None, None],
        "unfinishedRemovals": {"totalCount": 0},
        "orphans": {"totalCount": 0},
        "tokens": {"totalCount": 0},
    }


async def test_no_cursor_opens_what_is_not_seen(scene: Scene, eve: Person, api: Api) -> None:
    """A cursor says where to go on, not what may be seen."""
    garden = (await eve.do("createProject", name="garden"))["project"]["id"]
    own = (await eve.ask("{ serviceInstances { nodes { id } } }")).json()["data"]
    lists = {
        "projects": "{ id }",
        "serviceInstances": "{ id }",
        "unfinishedRemovals": "{ id }",
        "orphans": "{ id }",
        "auditEvents": "{ id subject { id } }",
        "tokens": "{ id }",
    }
    async with person(api, "root", roles=frozenset({caller.Role.OPERATOR})) as root:
        for name, below in lists.items():
            text = f"{{ {name}(first: 100) {{ edges {{ cursor }} }} }}"
            edges = (await root.ask(text)).json()["data"][name]["edges"]
            assert edges, name
            for cursor in [edge["cursor"] for edge in edges][:: max(1, len(edges) // 5)]:
                answer = await eve.ask(
                    f"query ($after: String) {{ {name}(after: $after) {{ nodes {below} totalCount"
                    " pageInfo { hasNextPage startCursor endCursor } } }",
                    after=cursor,
                )

                assert "errors" not in answer.json(), answer.text
                assert_nothing_of(scene, answer.text)
                seen = {each["id"] for each in answer.json()["data"][name]["nodes"]}
                mine = {garden, *(each["id"] for each in own["serviceInstances"]["nodes"])}
                assert name == "auditEvents" or seen <= mine


async def test_no_stream_by_a_real_token_tells_of_the_other(api: Api, scene: Scene) -> None:
    made = await token(api, "eve")
    deployment = identifiers.text(type_name="Deployment", uuid=scene.deployment)
    test, service = scene.shop.id("test"), scene.shop.id("database")
    asked = {
        "changes": f'serviceInstanceChanges(environment: "{test}") {{ id }}',
        "deployment": f'deploymentChanges(id: "{deployment}") {{ id }}',
        "about": f'auditEvents(after: "0", filter: {{subject: "{service}"}}) {{ id }}',
        "all": 'auditEvents(after: "0") { id actor subject { id } details }',
    }
    received: list[Any] = []
    async with asyncio.timeout(30), served(api) as address, connect(address) as socket:
        payload = {"authorization": made}
        await exchange(socket, {"type": "connection_init", "payload": payload})
        for name, text in asked.items():
            payload = {"query": f"subscription {{ {text} }}"}
            await exchange(socket, {"type": "subscribe", "id": name, "payload": payload})
        await rename(api, scene.shop, "SEEN")
        await api.parts.application.projects.create_project(
            request=request.Request(actor="eve", name="createProject"), name="garden"
        )
        while not any(each.get("type") == "next" for each in received):
            received.append(json.loads(await socket.recv()))

    told = [each for each in received if each.get("type") == "next"]
    assert [(each["id"], each["payload"]["data"]["auditEvents"]["actor"]) for each in told] == [
        ("all", "eve")
    ]
    assert_nothing_of(scene, json.dumps(received), given=list(asked))


async def test_no_mutation_tells_of_the_other(api: Api, scene: Scene, eve: Person) -> None:
    before = await api.parts.event_log.head()

    for name, given in inputs(scene).items():
        if name in WITHOUT_PLACE:
            continue
        refused = await eve.do(name, **given)
        nowhere = await eve.do(name, **elsewhere(given))

        assert refused["__typename"] == "NotFoundRefusal", refused
        # Word by word what is said of a thing that nobody has.
        assert {**refused, "id": ""} == {**nowhere, "id": ""}
        assert_nothing_of(scene, json.dumps(refused), given=given)
    assert await api.parts.event_log.head() == before


def elsewhere(given: dict[str, Any]) -> dict[str, Any]:
    """Return an input about something of the same kind that there is not."""
    names = {"id", "project", "environment"}
    return {
        name: f"{value[:4]}{'0' * 31}1" if name in names else value for name, value in given.items()
    }


async def test_an_idempotency_key_opens_no_door_that_was_shut(
    api: Api, scene: Scene, eve: Person
) -> None:
    role = {"project_id": scene.shop.project, "subject": "eve"}
    changing = api.parts.application.projects
    adding = request.Request(actor="ada", name="addMember")
    await changing.add_member(request=adding, role=values.MemberRole.DEVELOPER, **role)
    given = {"id": scene.shop.id("database"), "prefix": "EVES", "idempotencyKey": "mine"}
    assert (await eve.do("renamePrefix", **given))["__typename"] == "RenamePrefixSuccess"
    removing = request.Request(actor="ada", name="removeMember")
    await changing.remove_member(request=removing, **role)

    again = await eve.do("renamePrefix", **given)

    assert again["__typename"] == "NotFoundRefusal"
    assert_nothing_of(scene, json.dumps(again), given=given)


async def test_a_key_of_one_person_is_no_key_of_another(
    api: Api, scene: Scene, eve: Person
) -> None:
    assert scene
    async with person(api, "joan") as joan:
        mine = await eve.do("createProject", name="garden", idempotencyKey="one")
        theirs = await joan.do("createProject", name="garden", idempotencyKey="one")

    assert mine["project"]["id"] != theirs["project"]["id"]


async def test_a_token_reaches_no_further_than_its_projects(
    api: Api, scene: Scene, eve: Person
) -> None:
    made = await eve.do("createProject", name="garden")
    garden = identifiers.uuid_of(made["project"]["id"], type_name="Project")
    assert garden is not None
    only = {"projects": frozenset({garden})}
    await api.parts.application.projects.add_member(
        request=request.Request(actor="ada", name="addMember"),
        project_id=scene.shop.project,
        subject="eve",
        role=values.MemberRole.MANAGER,
    )
    names = "{ projects { nodes { name } } }"
    async with (
        person(api, "eve", **only) as narrowed,
        person(api, "eve", roles=frozenset({caller.Role.VIEWER}), **only) as viewing,
        person(api, "robot", roles=frozenset({caller.Role.DEVELOPER}), **only) as robot,
    ):
        shown = [(await each.ask(names)).json() for each in (eve, narrowed, viewing, robot)]
        environment = made["project"]["environments"][0]["id"]
        adding = {"environment": environment, "offering": "postgres", "prefix": "X"}
        codes = [
            (await each.do("addService", **adding)).get("code")
            for each in (narrowed, viewing, robot)
        ]
        outside = [
            (await each.do("deploy", environment=scene.shop.id("test")))["__typename"]
            for each in (narrowed, viewing, robot)
        ]
        project = (await narrowed.do("createProject", name="more"))["code"]

    found = [[each["name"] for each in one["data"]["projects"]["nodes"]] for one in shown]
    assert found == [["shop", "garden"], ["garden"], ["garden"], ["garden"]]
    assert codes == ["QUOTA_EXCEEDED", "FORBIDDEN", "QUOTA_EXCEEDED"]
    assert outside == ["NotFoundRefusal"] * 3
    assert project == "FORBIDDEN"


async def test_streams_tell_of_what_the_caller_sees(api: Api, scene: Scene) -> None:
    eve = caller.Caller(subject="eve", name=None, token_id="tok_eve", is_in_beta=True)
    text = 'subscription { auditEvents(after: "0") { event actor subject { id } details } }'
    stream: Any = await api.schema.subscribe(text, context_value=api.context(eve))
    async with asyncio.timeout(20), contextlib.aclosing(stream):
        taking = asyncio.create_task(anext(stream))
        made, _ = await api.parts.application.projects.create_project(
            request=request.Request(actor="eve", name="createProject"), name="garden"
        )
        first = await taking

    assert first.errors is None
    assert first.data["auditEvents"]["event"] == "ProjectCreated"
    assert first.data["auditEvents"]["subject"] == {
        "id": identifiers.text(type_name="Project", uuid=made)
    }
    assert scene


async def test_a_stream_tells_nothing_to_whoever_left(api: Api, shop: Shop) -> None:
    """Membership is asked with each event: nothing is told after it."""
    adding = request.Request(actor="ada", name="addMember")
    await api.parts.application.projects.add_member(
        request=adding, project_id=shop.project, subject="eve", role=values.MemberRole.VIEWER
    )
    eve = caller.Caller(subject="eve", name=None, token_id="tok_eve", is_in_beta=True)
    head = await api.parts.event_log.head()
    text = f'subscription {{ auditEvents(after: "{head}") {{ event }} }}'
    stream: Any = await api.schema.subscribe(text, context_value=api.context(eve))
    async with asyncio.timeout(20), contextlib.aclosing(stream):
        taking = asyncio.create_task(anext(stream))
        await rename(api, shop, "ONE")
        first = [(await taking).data["auditEvents"]["event"]]
        taking = asyncio.create_task(anext(stream))
        await api.parts.application.projects.remove_member(
            request=request.Request(actor="ada", name="removeMember"),
            project_id=shop.project,
            subject="eve",
        )
        await rename(api, shop, "TWO")
        await api.parts.application.projects.create_project(
            request=request.Request(actor="eve", name="createProject"), name="garden"
        )
        while "ProjectCreated" not in first:
            first.append((await taking).data["auditEvents"]["event"])
            taking = asyncio.create_task(anext(stream))
        taking.cancel()
        await asyncio.wait([taking])

    assert "ServicePrefixRenamed" not in first[2:]
    assert "MemberRemoved" not in first


async def test_what_a_stream_told_is_not_told_again_to_whoever_left(api: Api, shop: Shop) -> None:
    adding = request.Request(actor="ada", name="addMember")
    role = {"project_id": shop.project, "subject": "eve"}
    await api.parts.application.projects.add_member(
        request=adding, role=values.MemberRole.VIEWER, **role
    )
    eve = caller.Caller(subject="eve", name=None, token_id="tok_eve", is_in_beta=True)
    head = await api.parts.event_log.head()
    text = f'subscription {{ auditEvents(after: "{head}") {{ event }} }}'

    async def first() -> str:
        stream: Any = await api.schema.subscribe(text, context_value=api.context(eve))
        async with asyncio.timeout(20), contextlib.aclosing(stream):
            return str((await anext(stream)).data["auditEvents"]["event"])

    await rename(api, shop, "ONE")
    while_a_member = await first()
    await api.parts.application.projects.remove_member(
        request=request.Request(actor="ada", name="removeMember"), **role
    )
    await api.parts.application.projects.create_project(
        request=request.Request(actor="eve", name="createProject"), name="garden"
    )

    assert while_a_member == "ServicePrefixRenamed"
    assert await first() == "ProjectCreated"


async def rename(api: Api, shop: Shop, prefix: str) -> None:
    await api.parts.application.services.rename_prefix(
        request=request.Request(actor="ada", name="renamePrefix"),
        service_instance_id=shop.database,
        prefix=prefix,
    )


async def test_changes_of_the_other_are_not_told(api: Api, scene: Scene) -> None:
    test = scene.shop.id("test")
    text = f'subscription {{ serviceInstanceChanges(environment: "{test}") {{ id }} }}'
    eve = caller.Caller(subject="eve", name=None, token_id="tok_eve", is_in_beta=True)
    told: list[object] = []

    async def listen() -> None:
        stream: Any = await api.schema.subscribe(text, context_value=api.context(eve))
        async with contextlib.aclosing(stream):
            told.extend([result async for result in stream])

    listening = asyncio.create_task(listen())
    operators: Any = await api.stream(text)
    async with asyncio.timeout(20), contextlib.aclosing(operators):
        for prefix in ("ONE", "TWO", "THREE"):  # who may see it is told, time and again
            taking = asyncio.create_task(anext(operators))
            number = 0
            while not taking.done():
                await rename(api, scene.shop, f"{prefix}{number}")
                await asyncio.wait([taking], timeout=0.05)
                number += 1
    listening.cancel()
    await asyncio.wait([listening])

    assert told == []


async def test_a_deployment_of_the_other_has_no_changes(api: Api, scene: Scene) -> None:
    eve = caller.Caller(subject="eve", name=None, token_id="tok_eve", is_in_beta=True)
    deployment = identifiers.text(type_name="Deployment", uuid=scene.deployment)

    stream: Any = await api.schema.subscribe(
        f'subscription {{ deploymentChanges(id: "{deployment}") {{ id }} }}',
        context_value=api.context(eve),
    )

    assert [each async for each in stream] == []


async def test_without_beta_no_stream_begins(api: Api) -> None:
    eve = caller.Caller(subject="eve", name=None, token_id="tok_eve", is_in_beta=False)

    stream: Any = await api.schema.subscribe(
        'subscription { auditEvents(after: "0") { id } }', context_value=api.context(eve)
    )
    [result] = [each async for each in stream]

    assert [error.extensions["code"] for error in result.errors] == ["FORBIDDEN"]


async def test_events_tell_actor_token_and_trace(api: Api, eve: Person) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    eve.client.headers["traceparent"] = trace

    await eve.do("createProject", name="garden")

    async with api.parts.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT DISTINCT metadata ->> 'actor', metadata ->> 'token_id',"
            " metadata ->> 'traceparent', metadata ? 'correlation_id'"
            " FROM ledger.events WHERE metadata ->> 'actor' = 'eve'"
        )
        [(actor, token_id, traceparent, has_correlation)] = await rows.fetchall()
    assert (actor, traceparent, has_correlation) == ("eve", trace, True)
    assert token_id.startswith("tok_")
