"""What clients of a log that was restored to an older point are told."""

import asyncio
import contextlib
import uuid

import httpx
import pytest

from app.application import request
from tests.app.graphql import test_access
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio

PAGE = """query ($after: String) { auditEvents(first: 2, after: $after) {
    edges { cursor node { position } } pageInfo { endCursor } } }"""
STREAM = "subscription ($after: Position) { auditEvents(after: $after) { position } }"


async def restore(api: Api) -> str:
    """Make the log look restored, as it is now, and return the last position that is common."""
    head = await api.parts.event_log.head()
    async with api.parts.pool.connection() as connection:
        await connection.execute("UPDATE ledger.epochs SET birthmark = 'of the lost one'")
    await api.parts.event_log.begin()
    return str(head)


async def rename(api: Api, service_instance_id: uuid.UUID, prefix: str) -> None:
    await api.parts.application.services.rename_prefix(
        request=request.Request(actor="grace", name="renamePrefix"),
        service_instance_id=service_instance_id,
        prefix=prefix,
    )


async def test_reader_who_is_ahead_is_told_where_both_logs_are_the_same(
    api: Api, shop: Shop
) -> None:
    common = await restore(api)
    ahead = str(int(common) + 1)
    for prefix in ("ONE", "TWO", "THREE"):
        await rename(api, shop.database, prefix)

    page = await api.answer(PAGE, after=ahead)
    stream = await api.stream(STREAM, after=ahead)
    async with asyncio.timeout(10), contextlib.aclosing(stream):
        [told] = [result async for result in stream]

    for result in (page, told):
        [error] = result.errors
        assert error.extensions == {"code": "LOG_DIVERGED", "lastCommonPosition": common}
        assert f"the same up to {common}" in error.message


async def test_reader_of_a_log_that_is_unknown_is_told(api: Api, shop: Shop) -> None:
    """Its epoch began before the last one, but not in this log."""
    common = await restore(api)
    await rename(api, shop.database, "NEW")
    epoch, _, _ = api.parts.event_log.place(int(common) + 1).partition(".")

    page = await api.answer(PAGE, after=f"{int(epoch) - 1}.{common}")

    [error] = page.errors
    assert error.extensions == {"code": "LOG_DIVERGED"}
    assert "begin anew" in error.message


async def test_reader_goes_on_from_the_last_common_position(api: Api, shop: Shop) -> None:
    common = await restore(api)
    for prefix in ("ONE", "TWO", "THREE"):
        await rename(api, shop.database, prefix)
    positions, after = [], common

    for _ in range(3):
        page = (await api.answer(PAGE, after=after)).data["auditEvents"]
        positions += [edge["node"]["position"] for edge in page["edges"]]
        assert [edge["cursor"] for edge in page["edges"]] == positions[-len(page["edges"]) :]
        after = page["pageInfo"]["endCursor"]
    stream = await api.stream(STREAM, after=common)
    async with asyncio.timeout(10), contextlib.aclosing(stream):
        streamed = [await anext(stream) for _ in positions]

    epoch, _, _ = positions[0].partition(".")
    assert positions == [f"{epoch}.{int(common) + 1 + n}" for n in range(len(positions))]
    assert int(epoch) > 1
    assert [result.data["auditEvents"]["position"] for result in streamed] == positions


async def test_proofs_of_a_lost_epoch_are_refused(api: Api, shop: Shop) -> None:
    common = await restore(api)
    await rename(api, shop.database, "NEW")
    own = api.parts.event_log.place(int(common) + 1)
    epoch, _, number = own.partition(".")
    await test_access.sealed(api)
    inclusion = "query ($at: Position!) { inclusionProof(position: $at) { position } }"
    consistency = "query ($at: Position!) { consistencyProof(earlier: $at) { hashes } }"

    proven = await api.ask(inclusion, at=own)

    assert proven == {"inclusionProof": {"position": own}}
    assert await api.codes(inclusion, at=common) == []
    assert await api.codes(inclusion, at=number) == ["LOG_DIVERGED"]
    for query in (inclusion, consistency):
        assert await api.codes(query, at=f"{int(epoch) - 1}.{common}") == ["LOG_DIVERGED"]


async def test_auditors_outside_are_refused_them_too(
    api: Api, client: httpx.AsyncClient, shop: Shop
) -> None:
    common = await restore(api)
    await rename(api, shop.database, "NEW")
    own = api.parts.event_log.place(int(common) + 1)
    epoch, _, number = own.partition(".")
    lost = f"{int(epoch) - 1}.{common}"
    size = await test_access.sealed(api)

    proven = await client.get("/audit/proofs/inclusion", params={"position": own})
    from_a_note = await client.get("/audit/proofs/consistency", params={"from": str(size)})
    refused = [
        await client.get(f"/audit/{path}", params=asked)
        for path, asked in (
            ("proofs/inclusion", {"position": number}),
            ("proofs/inclusion", {"position": lost}),
            ("proofs/inclusion", {"position": own, "size": lost}),
            ("proofs/consistency", {"from": lost}),
            ("checkpoint", {"size": lost}),
        )
    ]

    assert (proven.status_code, proven.json()["position"]) == (200, own)
    assert from_a_note.status_code == 200
    for answer in refused:
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["extensions"]["code"]) == (409, "LOG_DIVERGED")


async def test_answers_tell_positions_of_the_new_epoch(api: Api, shop: Shop) -> None:
    await restore(api)

    done = await api.answer(
        """mutation ($id: ID!) { renamePrefix(input: { id: $id, prefix: "NEW" }) {
        ... on RenamePrefixSuccess { position serviceInstance {
            history(last: 1) { nodes { position } } } } } }""",
        id=shop.id("database"),
    )

    renamed = done.data["renamePrefix"]
    [last] = renamed["serviceInstance"]["history"]["nodes"]
    epoch, dot, _ = renamed["position"].partition(".")
    assert dot
    assert last["position"].startswith(f"{epoch}.")
    then = await api.answer(
        """query ($id: ID!, $at: Position!) {
        serviceInstance(id: $id, at: { position: $at }) { prefix } }""",
        id=shop.id("database"),
        at=last["position"],
    )
    assert then.data["serviceInstance"]["prefix"] == "NEW"
    lost = await api.codes(
        """query ($id: ID!, $at: Position!) {
        serviceInstance(id: $id, at: { position: $at }) { prefix } }""",
        id=shop.id("database"),
        at=last["position"].removeprefix(f"{epoch}."),
    )
    assert lost == ["LOG_DIVERGED"]
