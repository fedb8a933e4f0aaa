import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator

import pytest
from strawberry.types import ExecutionResult

from app.application import request
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio


async def rename(api: Api, service_instance_id: uuid.UUID, prefix: str) -> None:
    await api.parts.application.services.rename_prefix(
        request=request.Request(actor="grace", name="renamePrefix"),
        service_instance_id=service_instance_id,
        prefix=prefix,
    )


async def take(stream: AsyncGenerator[ExecutionResult, None], count: int) -> list[ExecutionResult]:
    """Return so many results, with a deadline."""
    async with asyncio.timeout(10), contextlib.aclosing(stream):
        return [await anext(stream) for _ in range(count)]


async def test_audit_events_catch_up_and_go_on(api: Api, shop: Shop) -> None:
    stream = await api.stream(
        """subscription ($after: Position) { events: auditEvents(after: $after) {
        position event subject { id } } }""",
        after="3",
    )
    head = await api.parts.event_log.head()
    taking = asyncio.create_task(take(stream, head - 3 + 1))
    await rename(api, shop.database, "LATER")

    results = await taking

    assert [result.errors for result in results if result.errors] == []
    positions = [int(result.data["events"]["position"]) for result in results]
    assert positions == list(range(4, head + 2))


async def test_audit_events_are_filtered(api: Api, shop: Shop) -> None:
    stream = await api.stream(
        """subscription ($filter: AuditEventFilter) {
        auditEvents(after: "0", filter: $filter) { event subject { id } } }""",
        filter={"events": ["ServiceAdded"], "project": shop.id("project"), "actor": "ada"},
    )

    results = await take(stream, 4)

    assert {result.data["auditEvents"]["event"] for result in results} == {"ServiceAdded"}


async def test_changes_of_the_environment_only(api: Api, shop: Shop) -> None:
    text = """subscription ($id: ID!) { serviceInstanceChanges(environment: $id) {
      id prefix environment { name } history(last: 1) { nodes { event } } } }"""
    stream = await api.stream(text, id=shop.id("test"))
    taking = asyncio.create_task(take(stream, 1))
    async with api.parts.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT id FROM read.service_instances WHERE environment_id = %s", [shop.live]
        )
        [(elsewhere,), _] = await cursor.fetchall()

    for number in range(200):  # it follows from some moment on
        await rename(api, elsewhere, f"ELSEWHERE{number}")
        await rename(api, shop.storage, f"HERE{number}")
        done, _ = await asyncio.wait({taking}, timeout=0.05)
        if done:
            break

    [result] = await taking
    changed = result.data["serviceInstanceChanges"]
    assert changed.pop("prefix").startswith("HERE")
    assert changed == {
        "id": shop.id("storage"),
        "environment": {"name": "test"},
        "history": {"nodes": [{"event": "ServicePrefixRenamed"}]},
    }


async def test_no_changes_of_what_is_no_environment(api: Api) -> None:
    stream = await api.stream('subscription { serviceInstanceChanges(environment: "none") { id } }')

    assert [result async for result in stream] == []


async def test_nobody_follows_without_a_token(api: Api) -> None:
    stream = await api.schema.subscribe(
        'subscription { auditEvents(after: "0") { id } }', context_value=api.context(None)
    )

    [result] = await take(stream, 1)

    assert [error.extensions["code"] for error in result.errors] == ["UNAUTHENTICATED"]
