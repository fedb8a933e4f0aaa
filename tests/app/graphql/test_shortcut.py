"""The short way and the executor give the same answers."""

import asyncio
import contextlib
import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import graphql
import pytest

from app.access import caller
from app.graphql import asked, context, negotiation, patience, replies, shortcut
from tests.app.graphql import reference, test_access
from tests.app.graphql.asking import OPERATOR, Api, Shop
from tests.edge import random_queries

pytestmark = pytest.mark.anyio

OPERATIONS = int(os.environ.get("RANDOM_OPERATIONS", "200"))
SEED = int(os.environ.get("RANDOM_SEED", "0"))
Record = Callable[[str, object], None]
STRANGER = dataclasses.replace(
    OPERATOR, subject="eve", roles=frozenset(), token_id="tok_2", is_in_beta=True
)
VIEWER = dataclasses.replace(STRANGER, roles=frozenset({caller.Role.VIEWER}))
WITHOUT_BETA = dataclasses.replace(VIEWER, is_in_beta=False)
CALLERS = {
    "operator": OPERATOR,
    "stranger": STRANGER,
    "viewer": VIEWER,
    "without-beta": WITHOUT_BETA,
}
FORMS = (negotiation.MediaType.JSON, negotiation.MediaType.RESPONSE)


async def never() -> Any:  # noqa: ANN401  an ASGI message
    await asyncio.Event().wait()


class Both:
    """Asks both ways, and wants the same."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._shortcut = shortcut.Shortcut(
            schema=api.schema, reader=api.reader, watches=patience.watches()
        )
        self.taken = 0

    async def short(self, text: str, variables: dict[str, Any] | None, who: context.Context) -> Any:  # noqa: ANN401  an answer, or None
        sent = asked.Asked(query=text, variables=variables, operation_name=None)
        return await self._shortcut.answer(sent, who=who, may_change=True, receive=never)

    async def long(self, text: str, variables: dict[str, Any] | None, who: context.Context) -> Any:  # noqa: ANN401  a result
        return await self._api.schema.execute(text, variable_values=variables, context_value=who)

    async def ask(
        self,
        text: str,
        variables: dict[str, Any] | None = None,
        *,
        who: caller.Caller = OPERATOR,
    ) -> Any:  # noqa: ANN401  JSON
        """Return the answer, as text too the same for both."""
        asking = self._api.context(who)
        short = await self.short(text, variables, asking)
        result = await self.long(text, variables, asking)
        if short is None:
            return json.loads(replies.reply(result, FORMS[0]).body)
        self.taken += 1
        answers = []
        for form in FORMS:
            responses = [replies.reply(each, form) for each in (short, result)]
            assert len({each.status_code for each in responses}) == 1, (text, variables)
            answers += [json.loads(each.body) for each in responses]
            assert _ordered(answers[-2]) == _ordered(answers[-1]), (text, variables)
        return answers[0]


def _ordered(value: Any) -> Any:  # noqa: ANN401  JSON
    """Return a value that tells the order of keys too."""
    if isinstance(value, dict):
        return [(key, _ordered(item)) for key, item in value.items()]
    return [_ordered(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def both(api: Api) -> Both:
    return Both(api)


KNOWN = """{ projects { nodes { id name environments { id name
  deployments { nodes { id } } serviceInstances(first: 1) { nodes { id prefix
    history(first: 1) { pageInfo { endCursor } } } pageInfo { endCursor } } } } }
  auditEvents(first: 3) { pageInfo { endCursor } nodes { id position actor } } }"""


@pytest.mark.parametrize("name", CALLERS)
async def test_random_queries(
    api: Api, both: Both, shop: Shop, database: str, name: str, record_property: Record
) -> None:
    who = CALLERS[name]
    if who.roles == VIEWER.roles:
        who = dataclasses.replace(who, projects=frozenset({shop.project}))
    known = random_queries.ids_of([await api.ask(KNOWN)])
    seed = SEED + list(CALLERS).index(name)
    source = random_queries.Source(schema=api.schema._schema, seed=seed, known=known)
    count = OPERATIONS if who is OPERATOR else OPERATIONS // 6
    naive = reference.Reference(database)
    answered, compared = 0, 0

    for _ in range(count):
        text, variables = source.operation(graphql.OperationType.QUERY)
        found = await both.ask(text, variables, who=who)
        if "errors" in found:
            continue
        answered += 1
        if who is OPERATOR:
            with contextlib.suppress(reference.Unknown):
                assert found["data"] == naive.answer(text, variables), (text, variables)
                compared += 1

    counts = {"asked": count, "short": both.taken, "fine": answered, "as naively": compared}
    for key, value in counts.items():
        record_property(key, value)
    assert both.taken >= answered  # whatever is fine goes the short way
    assert compared > answered / 4 or who is not OPERATOR
    assert answered > count / 12 or not who.is_in_beta  # who is refused almost everything


@pytest.mark.usefixtures("shop")
async def test_random_mutations(api: Api, both: Both, record_property: Record) -> None:
    """Each way is asked in turn under one key: the second is told what the first did."""
    known = random_queries.ids_of([await api.ask(KNOWN)])
    source = random_queries.Source(schema=api.schema._schema, seed=SEED + 3, known=known)

    for number in range(OPERATIONS // 3):
        text, variables = source.operation(graphql.OperationType.MUTATION)
        for name, value in variables.items():
            if isinstance(value, dict):
                value["idempotencyKey"] = f"{number} {name}"
        await both.ask(text.replace("secret ", "").replace("beta ", ""), variables)

    record_property("asked", OPERATIONS // 3)
    record_property("short", both.taken)
    assert both.taken > OPERATIONS // 12


EVERY_KIND = """query ($ids: [ID!]!, $id: ID!, $with: Boolean!, $first: Int = 2) {
  again: viewer { subject roles beta __typename } __typename
  nodes(ids: $ids) { ...N ... on Project { name } ... on ServiceInstance @include(if: $with) {
    kind history(last: 1) { nodes { event } pageInfo { hasPreviousPage startCursor } } } }
  serviceInstance(id: $id) { id then: history(first: $first) {
    edges { cursor node { position sentence } } pageInfo { hasNextPage endCursor } totalCount } }
  environments: project(id: $id) { id }
  catalogue { name plans { name parametersSchema } }
}
fragment N on Node { key: id __typename }"""


async def test_everything_at_once(both: Both, shop: Shop) -> None:
    ids = [shop.id("database"), "nothing", shop.id("project"), shop.id("test")]
    for is_wanted in (True, False):
        variables = {"ids": ids, "id": shop.id("storage"), "with": is_wanted}
        found = await both.ask(EVERY_KIND, variables)

        assert found["data"]["again"] == {
            "subject": "ada", "roles": ["OPERATOR"], "beta": True, "__typename": "Viewer"
        }  # fmt: skip
        assert [each and each["__typename"] for each in found["data"]["nodes"]] == [
            "ServiceInstance", None, "Project", "Environment"
        ]  # fmt: skip
        assert ("kind" in found["data"]["nodes"][0]) is is_wanted
    assert both.taken == 2


async def test_as_it_was_and_as_it_would_be(both: Both, shop: Shop) -> None:
    text = """query ($id: ID!, $at: Moment, $env: ID!) {
      serviceInstance(id: $id, at: $at) { state version history { nodes { event } } }
      environment(by: {id: $env}) { deploymentPlan { digest actions { kind instance { prefix } } } }
    }"""
    for at in (None, {"position": "1"}, {"time": "2999-01-01T00:00:00Z"}):
        variables = {"id": shop.id("database"), "at": at, "env": shop.id("test")}
        await both.ask(text, variables)
    assert both.taken == 3


PAST = """query ($env: ID!, $id: ID!, $at: Moment!, $to: Moment) {
  then: environment(by: {id: $env}, at: $at) { name serviceInstances { nodes { prefix state } }
    deployments { totalCount } project { name } }
  named: environment(by: {named: {project: $id, name: "test"}}, at: {position: "4"}) { id }
  historyDiff(id: $env, from: $at, to: $to) { since until events(first: 2) { nodes { position
    reason cause { event } consequences { nodes { event } } correlated { totalCount } } }
    changes { field before after subject { id __typename } } }
  serviceInstance(id: $id) { history { nodes { record { position event } } } }
}"""
PROOFS = """query ($at: Position!, $size: Position) { __typename
  auditCheckpoint { size note signedAt } old: auditCheckpoint(size: $size) { size }
  inclusionProof(position: $at, size: $size) { position leaf hashes checkpoint { size } }
  consistencyProof(earlier: $at) { earlier { size } hashes checkpoint { __typename } }
  auditEvents(first: 1, filter: {after: $at}) { nodes { position } } }"""
FILTERED = """query ($filter: AuditEventFilter) {
  auditEvents(filter: $filter) { nodes { position } } }"""
FOLLOWED = "query ($at: String!) { auditEvents(after: $at) { nodes { position } } }"
LOST = "217512005123.1"


async def test_what_was_and_what_is_different(both: Both, shop: Shop) -> None:
    known = {"env": shop.id("test"), "id": shop.id("project")}
    for at, to in (
        ({"position": "3"}, None),
        ({"position": "9"}, {"time": "2999-01-01T00:00:00Z"}),
        ({"time": "2000-01-01T00:00:00Z"}, {"position": "99999"}),
    ):
        found = await both.ask(PAST, {**known, "at": at, "to": to})
        assert found["data"]["historyDiff"]["until"] is not None
    for at, code in (({"position": "9"}, "BAD_USER_INPUT"), ({"position": LOST}, "LOG_DIVERGED")):
        to = {"position": "1"}
        found = await both.ask(PAST, {**known, "at": at, "to": to})
        assert found["errors"][0]["extensions"]["code"] == code
    assert both.taken == 5


async def test_proofs(api: Api, both: Both, shop: Shop) -> None:
    size = 0
    for _ in range(2):
        size += await test_access.sealed(api)
        await both.ask(
            "mutation ($id: ID!) { detachService(input: {id: $id}) { __typename } }",
            {"id": shop.id("database")},
        )
    for at, wanted in (("1", None), ("2", str(size)), ("0", "999999"), (str(size), None)):
        found = await both.ask(PROOFS, {"at": at, "size": wanted})
        assert found["data"]["auditCheckpoint"] is not None
    assert both.taken == 6
    assert found["data"]["consistencyProof"] is not None


async def test_events_that_fulfil_everything(both: Both, shop: Shop) -> None:
    wanted = {
        "events": ["ServiceAdded"], "subject": shop.id("database"), "project": shop.id("project"),
        "environment": shop.id("test"), "actor": "ada", "after": "0", "until": "99",
        "recordedFrom": "2000-01-01T00:00:00Z", "recordedBefore": "2999-01-01T00:00:00Z",
    }  # fmt: skip

    for filters in (wanted, *({name: value} for name, value in wanted.items())):
        found = await both.ask(FILTERED, {"filter": filters})
        assert found["data"]["auditEvents"]["nodes"]
    assert both.taken == 1 + len(wanted)


async def test_position_of_a_lost_log_is_refused_alike(both: Both) -> None:
    found = [await both.ask(text, {"at": LOST}) for text in (PROOFS, FOLLOWED)]

    assert {each["errors"][0]["extensions"]["code"] for each in found} == {"LOG_DIVERGED"}


async def test_requests_of_the_same_moment_share_a_statement(
    api: Api, both: Both, shop: Shop
) -> None:
    text = "query ($id: ID!) { node(id: $id) { id } }"
    ids = [shop.id(name) for name in ("database", "storage")] * 8
    await both.short(text, {"id": ids[0]}, api.context(OPERATOR))
    api.statements.clear()

    found = await asyncio.gather(
        *(both.short(text, {"id": id_}, api.context(OPERATOR)) for id_ in ids)
    )

    assert [json.loads(each)["data"]["node"]["id"] for each in found] == ids
    assert len(api.statements) <= 2


async def test_callers_of_different_rights_share_a_statement(
    api: Api, both: Both, shop: Shop
) -> None:
    text = "query ($id: ID!) { project(id: $id) { id } }"
    member = dataclasses.replace(VIEWER, projects=frozenset({shop.project}))
    for who in (member, STRANGER):
        await both.short(text, {"id": shop.id("project")}, api.context(who))
    api.statements.clear()

    found = await asyncio.gather(
        *(
            both.short(text, {"id": shop.id("project")}, api.context(who))
            for who in (member, STRANGER, member, STRANGER)
        )
    )

    seen = [json.loads(each)["data"]["project"] is not None for each in found]
    assert seen == [True, False, True, False]
    assert len(api.statements) <= 2


async def test_mutations_of_one_operation_follow_one_another(both: Both, shop: Shop) -> None:
    text = """mutation ($id: ID!) {
      a: detachService(input: {id: $id, idempotencyKey: "a"}) { ...R }
      b: attachService(input: {id: $id, idempotencyKey: "b"}) { ...R }
      c: detachService(input: {id: "nothing"}) { ...R } __typename
    }
    fragment R on Refusal { __typename code message ... on NotFoundRefusal { id } }"""
    more = text.replace("{ ...R }", "{ ...R ... on DetachServiceSuccess { position } }", 1)

    found = await both.ask(more, {"id": shop.id("database")})

    assert list(found["data"]) == ["a", "b", "c", "__typename"]
    assert list(found["data"]["a"]) == ["position"]
    assert found["data"]["b"] == {}
    assert found["data"]["c"]["code"] == "SERVICE_NOT_FOUND"
    assert found["data"]["c"]["id"] == "nothing"


async def test_payload_shows_what_is_included_of_fields_with_one_key(
    both: Both, shop: Shop
) -> None:
    text = """mutation ($id: ID!, $more: Boolean!) {
      a: attachService(input: {id: $id}) @include(if: $more) { ...on AttachServiceSuccess {
        serviceInstance { prefix } } }
      a: attachService(input: {id: $id}) { ...on AttachServiceSuccess {
        serviceInstance { wanted } } } }"""

    found = [
        await both.ask(text, {"id": shop.id("database"), "more": more})
        for more in (True, False, True)
    ]

    shown = [list(each["data"]["a"]["serviceInstance"]) for each in found]
    assert shown == [["prefix", "wanted"], ["wanted"], ["prefix", "wanted"]]


async def test_mutation_that_breaks_is_null_and_the_next_goes_on(
    api: Api, both: Both, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(**_: object) -> None:
        raise ValueError("nobody thought of it")

    monkeypatch.setattr(api.parts.application.services, "detach", broken)
    text = """mutation ($id: ID!) { detachService(input: {id: $id}) { __typename }
      attachService(input: {id: $id, idempotencyKey: "x"}) { __typename } }"""

    answers = [
        json.loads(replies.reply(each, FORMS[0]).body)
        for way in (both.short, both.long)
        for each in [await way(text, {"id": shop.id("database")}, api.context(OPERATOR))]
    ]

    for answer in answers:
        [error] = answer["errors"]
        assert len(error["extensions"].pop("correlationId")) == 36
    assert answers[0] == answers[1]
    assert answers[0]["data"]["detachService"] is None
    assert answers[0]["data"]["attachService"] == {"__typename": "AttachServiceSuccess"}


async def test_numbers_of_many_digits(api: Api, both: Both, shop: Shop) -> None:
    await api.execute(
        "UPDATE read.service_instances SET parameters = '{\"n\": 1e300}' WHERE id = %s",
        [shop.database],
    )
    text = """query ($id: ID!, $env: ID!, $plan: Boolean!) { viewer { name }
      serviceInstance(id: $id) { parameters }
      environment(by: {id: $env}) { deploymentPlan @include(if: $plan) {
      actions { instance { parameters } } } } }"""

    for is_wanted in (True, False):
        variables = {"id": shop.id("database"), "env": shop.id("test"), "plan": is_wanted}
        found = await both.ask(text, variables)
        assert found["data"]["serviceInstance"]["parameters"] == {"n": 10**300}

    mutation = """mutation ($id: ID!) { attachService(input: {id: $id, idempotencyKey: "n"}) {
      ... on AttachServiceSuccess { serviceInstance { parameters } } } }"""
    await both.ask(mutation, {"id": shop.id("database")})
    assert both.taken == 3


@pytest.mark.parametrize(
    "text",
    [
        "{ __schema { queryType { name } } }", "{ projects { nodes { nothing } } }", "{", "",
        "subscription { auditEvents { id } }", "query A { __typename } query B { __typename }",
        "{ projects(first: 0) { nodes { id } } }", '{ projects(after: "x") { nodes { id } } }',
        "query ($id: ID!) { node(id: $id) { id } }",
    ],
)  # fmt: skip
async def test_what_the_short_way_leaves_to_the_executor(api: Api, both: Both, text: str) -> None:
    assert await both.short(text, {}, api.context(OPERATOR)) is None
    assert await both.short("{ __typename }", {}, api.context(None)) is None


async def test_client_that_leaves_is_not_read_for(api: Api, both: Both) -> None:
    async def leave() -> Any:  # noqa: ANN401  an ASGI message
        return {"type": "http.disconnect"}

    sent = asked.Asked(query="{ projects { nodes { id } } }", variables=None, operation_name=None)
    who = api.context(OPERATOR)
    async with api.parts.pool.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE read.projects IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(patience.ClientLeftError):
            await both._shortcut.answer(sent, who=who, may_change=False, receive=leave)


async def test_read_that_takes_too_long_is_told_alike(api: Api, both: Both) -> None:
    api.reader.seconds = 0.1
    async with api.parts.pool.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE read.projects IN ACCESS EXCLUSIVE MODE")
        found = await both.ask("{ projects { nodes { id } } }")

    assert found["errors"][0]["extensions"]["code"] == "TIMEOUT"
    assert both.taken == 1
