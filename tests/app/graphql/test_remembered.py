"""A caller that is remembered gets nothing, and does nothing, that its token does not allow now."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence

import httpx
import psycopg
import pytest

from app import asgi
from app.access import caller
from app.application import request, tokens, unit_of_work
from app.eventlog import asking, hints
from tests.app.graphql.asking import Api, Shop
from tests.app.graphql.test_http import JSON, codes, post

pytestmark = pytest.mark.anyio

NAME = "query ($id: ID!) { project(id: $id) { name } }"
BESIDE = "query ($id: ID!) { viewer { subject } project(id: $id) { name } }"
ADD = 'mutation ($id: ID!) { createEnvironment(input: {project: $id, name: "x"}) { __typename } }'
CREATE = 'mutation { createProject(input: {name: "x"}) { __typename } }'
NO_SERVICE = 'mutation { attachService(input: {id: "none"}) { ... on Refusal { message } } }'
TYPENAME = "mutation { __typename }"
SEVERAL = """mutation ($id: ID!) {
    a: attachService(input: {id: "none"}) { __typename } b: __typename
    c: createEnvironment(input: {project: $id, name: "x"}) { __typename } }"""
PROTECT = """mutation ($id: ID!) { setDeletionProtection(input: {id: $id, protected: true}) {
    __typename } }"""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What PostgreSQL is asked by whom, in order; cleared by the tests."""
    texts: list[str] = []
    ask: Callable[..., Awaitable[list[asking.Row]]] = asking.ask

    async def asked(
        connection: psycopg.AsyncConnection[object],
        statement: bytes,
        values: Sequence[str | None] = (),
    ) -> list[asking.Row]:
        if statement != hints.NOTIFY:  # which tells of what was done before
            texts.append(statement.decode())
        return await ask(connection, statement, values)

    monkeypatch.setattr(asking, "ask", asked)
    return texts


@pytest.fixture
async def known(client: httpx.AsyncClient, shop: Shop) -> httpx.AsyncClient:
    """A client whose token was looked up before."""
    assert (await named(client, shop)).json() == {"data": {"project": {"name": "shop"}}}
    return client


async def named(client: httpx.AsyncClient, shop: Shop, text: str = NAME) -> httpx.Response:
    return await post(client, text, variables={"id": shop.id("project")})


async def test_who_is_remembered_is_read_for_and_proven_at_once(
    known: httpx.AsyncClient, shop: Shop, sent: list[str]
) -> None:
    sent.clear()
    answer = await named(known, shop)

    assert answer.json() == {"data": {"project": {"name": "shop"}}}
    [statement] = sent
    assert "access.tokens" in statement
    assert "read" in statement


async def test_who_is_remembered_is_admitted_and_proven_at_once(
    known: httpx.AsyncClient, shop: Shop, sent: list[str]
) -> None:
    sent.clear()
    answer = await post(known, PROTECT, variables={"id": shop.id("database")})

    assert "data" in answer.json()
    assert [text for text in sent if "access.tokens" in text] == sent[:1]
    assert "read.service_instances" in sent[0]


@pytest.mark.parametrize("text", [NAME, BESIDE, ADD, CREATE, NO_SERVICE, TYPENAME, SEVERAL])
@pytest.mark.parametrize(
    "ending", ["revoked_at = now()", "expires_at = now()", "expires_at = now() - interval '1 day'"]
)
async def test_a_token_that_has_ended_opens_nothing(
    api: Api, known: httpx.AsyncClient, shop: Shop, text: str, ending: str
) -> None:
    await api.execute(f"UPDATE read.api_tokens SET {ending} WHERE subject = 'ada'")  # noqa: S608  from above
    before = await api.parts.event_log.head()

    answer = await named(known, shop, text)

    assert (answer.status_code, codes(answer)) == (401, ["UNAUTHENTICATED"])
    assert "shop" not in answer.text
    assert await api.parts.event_log.head() == before


@pytest.mark.usefixtures("known")
async def test_nothing_is_recorded_for_who_was_not_proven(api: Api, token: str) -> None:
    """Whatever a use case forgets."""
    who = api.parts.sign_in.remembered(token)
    assert who is not None
    before = await api.parts.event_log.head()

    async def decide(_: unit_of_work.UnitOfWork) -> None:
        raise AssertionError("nobody decides for them")

    with pytest.raises(caller.UnprovenError):
        await unit_of_work.commit(
            event_log=api.parts.event_log,
            request=request.Request(actor="ada", name="any", caller=who),
            decide=decide,
        )
    assert await api.parts.event_log.head() == before


async def test_who_was_proven_need_not_be_again(
    api: Api, known: httpx.AsyncClient, token: str
) -> None:
    """It ends its own token, and still is told of it, once."""
    who = await api.parts.sign_in.authenticate(token)
    assert who is not None
    text = """mutation ($id: ID!) { a: revokeToken(input: {id: $id}) {
        ... on RevokeTokenSuccess { token { subject } } } b: __typename }"""
    before = await api.parts.event_log.head()
    answer = await post(known, text, variables={"id": who.token_id})

    assert answer.json() == {"data": {"a": {"token": {"subject": "ada"}}, "b": "Mutation"}}
    assert await api.parts.event_log.head() == before + 1
    assert (await post(known, TYPENAME)).status_code == 401


async def test_a_member_of_a_moment_ago_changes_nothing(
    api: Api, known: httpx.AsyncClient, shop: Shop
) -> None:
    await api.execute("UPDATE read.api_tokens SET roles = '{}' WHERE subject = 'ada'")
    variables = {"id": shop.id("project")}
    as_member = await post(known, ADD, variables=variables)
    await api.execute("DELETE FROM read.members")
    before = await api.parts.event_log.head()
    as_nobody = await post(known, ADD, variables=variables)

    assert as_member.json()["data"]["createEnvironment"]["__typename"] == "CreateEnvironmentSuccess"
    assert as_nobody.json()["data"]["createEnvironment"]["__typename"] == "NotFoundRefusal"
    assert await api.parts.event_log.head() == before


async def test_roles_count_as_they_are_now(api: Api, known: httpx.AsyncClient, shop: Shop) -> None:
    await api.execute("DELETE FROM read.members")
    await api.execute("UPDATE read.api_tokens SET roles = '{}' WHERE subject = 'ada'")
    hidden = await named(known, shop)
    await api.execute("UPDATE read.api_tokens SET roles = '{AUDITOR}' WHERE subject = 'ada'")
    seen = await named(known, shop)

    assert hidden.json() == {"data": {"project": None}}
    assert seen.json() == {"data": {"project": {"name": "shop"}}}


@pytest.mark.parametrize(
    "text",
    [
        "{ projects(first: 100) { nodes { id } } }",
        'mutation { a: attachService(input: {id: "none"}) { __typename } b: __typename }',
    ],
)
async def test_who_has_to_sign_in_again_pays_once(api: Api, token: str, text: str) -> None:
    """Either text costs more than half of what there is."""
    settings = dataclasses.replace(api.parts.settings, limit_budget=300)
    application = asgi.create(dataclasses.replace(api.parts, settings=settings))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application),
        base_url="http://servicebook",
        headers={"Authorization": f"Bearer {token}", "Accept": JSON},
    ) as client:
        await post(client, "{ viewer { subject } }")
        await api.execute("UPDATE read.api_tokens SET roles = '{AUDITOR}' WHERE subject = 'ada'")

        once, twice = [await post(client, text) for _ in range(2)]

    assert once.status_code == 200
    assert codes(twice) == ["RATE_LIMITED"]


@pytest.mark.parametrize("beta_ended", [False])
async def test_the_beta_counts_as_it_is_now(api: Api, token: str, shop: Shop) -> None:
    people = api.parts.application.people
    query = "query ($id: ID!) { serviceInstance(id: $id) { id } }"
    variables = {"id": shop.id("database")}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi.create(api.parts)),
        base_url="http://servicebook",
        headers={"Authorization": f"Bearer {token}", "Accept": JSON},
    ) as client:
        told = []
        for change in (people.join_beta, people.leave_beta, people.join_beta):
            await change(request=request.Request(actor="ada", name="change"), subject="ada")
            answers = [await post(client, query, variables=variables) for _ in range(2)]
            told.append(["errors" in answer.json() for answer in answers])

    assert told == [[False, False], [True, True], [False, False]]


@pytest.mark.parametrize(("text", "place"), [(NAME, "project"), (PROTECT, "database")])
async def test_those_who_ask_together_are_proven_each_for_itself(
    api: Api, token: str, shop: Shop, text: str, place: str
) -> None:
    """One of two loses its token while both are remembered, and both ask the same at once."""
    _, other, _ = await api.parts.application.tokens.create(
        request=request.Request(actor="root", name="createToken"),
        wanted=tokens.Wanted(subject="eve", name="Eve", roles=frozenset({caller.Role.OPERATOR})),
    )
    assert other is not None
    application = asgi.create(api.parts)

    async def ask(bearer: str, text: str) -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(application),
            base_url="http://servicebook",
            headers={"Authorization": f"Bearer {bearer}", "Accept": JSON},
        ) as client:
            return await post(client, text, variables={"id": shop.id(place)})

    for each in (token, other):
        assert (await ask(each, text)).status_code == 200
    await api.execute("UPDATE read.api_tokens SET revoked_at = now() WHERE subject = 'eve'")
    answers = await asyncio.gather(*(ask(each, text) for each in [token, other] * 20))

    assert [answer.status_code for answer in answers] == [200, 401] * 20
