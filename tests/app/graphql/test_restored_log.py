"""What clients of a log that was restored to an older point are told."""

import asyncio
import contextlib
import uuid

import pytest

from app.application import request
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

    assert all(position.startswith("2.") for position in positions)
    assert [int(position[2:]) for position in positions] == list(
        range(int(common) + 1, int(common) + 1 + len(positions))
    )
    assert [result.data["auditEvents"]["position"] for result in streamed] == positions


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
    assert renamed["position"].startswith("2.")
    assert last["position"].startswith("2.")
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
        at=last["position"].removeprefix("2."),
    )
    assert lost == ["LOG_DIVERGED"]
