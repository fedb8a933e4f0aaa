"""The same limits hold over every way in: HTTP, Server-Sent Events, WebSocket."""

import asyncio
import contextlib
import dataclasses
import json
import re
from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest

from app import asgi
from tests.app.graphql.asking import Api, Shop
from tests.app.graphql.test_http import JSON, RESPONSE, codes, connect, exchange, post, served

pytestmark = pytest.mark.anyio

EVENTS = "text/event-stream"
NAMES = "{ projects { nodes { name } } }"
NAMES_THAT_WERE = """subscription {
  auditEvents(after: "0") { position subject { id ... on Project { name } } } }"""
PROJECT = "query ($id: ID!) { project(id: $id) { name } }"
ADD = 'mutation ($id: ID!) { createEnvironment(input: {project: $id, name: "x"}) { __typename } }'


def limited(api: Api, **wanted: object) -> Api:
    """Return the API under other settings."""
    settings = dataclasses.replace(api.parts.settings, **wanted)
    return dataclasses.replace(api, parts=dataclasses.replace(api.parts, settings=settings))


@contextlib.asynccontextmanager
async def client_of(api: Api, token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi.create(api.parts)),
        base_url="http://servicebook",
        headers={"Authorization": f"Bearer {token}", "Accept": JSON},
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def locked(api: Api, table: str) -> AsyncIterator[None]:
    """Keep everybody else from a table."""
    async with (
        await psycopg.AsyncConnection.connect(api.parts.pool.conninfo) as connection,
        connection.transaction(),
    ):
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


TOO_MUCH = [
    ("limit_body", 100, "{ __typename " + " " * 100 + "}"),
    ("limit_tokens", 4, "{ __typename __typename __typename }"),
    ("limit_depth", 2, "{ projects { nodes { id } } }"),
    ("limit_fields", 2, "{ ...F } fragment F on Query { __typename projects { totalCount } }"),
    ("limit_aliases", 1, "{ a: __typename b: __typename }"),
    ("limit_directives", 1, "{ __typename @skip(if: true) @include(if: true) }"),
    ("limit_page", 5, "{ projects(first: 6) { totalCount } }"),
    ("limit_cost", 50, "{ projects(first: 50) { nodes { id } } }"),
]


async def test_each_limit_is_a_setting(api: Api, token: str) -> None:
    for setting, value, text in TOO_MUCH:
        async with client_of(api, token) as client:
            fine = await post(client, text)
        async with client_of(limited(api, **{setting: value}), token) as client:
            refused = await post(client, text)

        assert "errors" not in fine.json(), setting
        assert codes(refused) == ["LIMIT_EXCEEDED"], setting


async def test_the_number_of_errors_is_a_setting(api: Api, token: str) -> None:
    async with client_of(limited(api, limit_errors=2), token) as client:
        assert len(codes(await post(client, "{ a b c d }"))) == 2


async def test_the_number_of_operations_over_a_websocket_is_a_setting(api: Api, token: str) -> None:
    follow = {"query": "subscription { auditEvents { position } }"}
    async with (
        asyncio.timeout(20),
        served(limited(api, limit_operations=1)) as address,
        connect(address) as socket,
    ):
        await exchange(
            socket,
            {"type": "connection_init", "payload": {"authorization": token}},
            {"id": "1", "type": "subscribe", "payload": follow},
            {"id": "2", "type": "subscribe", "payload": follow},
        )
        _, refused = [json.loads(await socket.recv()) for _ in range(2)]

    assert (refused["id"], refused["type"]) == ("2", "error")
    assert refused["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


@pytest.mark.parametrize(("text", "table"), [(PROJECT, "read.projects"), (ADD, "ledger.head")])
async def test_time_is_limited_over_every_way_in(
    api: Api, token: str, shop: Shop, text: str, table: str
) -> None:
    asked = {"query": text, "variables": {"id": shop.id("project")}}
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        asyncio.timeout(30),
        served(limited(api, limit_seconds=0.3)) as address,
        httpx.AsyncClient(headers=headers, timeout=20) as http,
        connect(address) as socket,
        locked(api, table),
    ):
        url = address.replace("ws", "http", 1)
        plain, strict, events = [
            await http.post(url, json=asked, headers={"Accept": accept})
            for accept in (JSON, RESPONSE, EVENTS)
        ]
        await exchange(
            socket,
            {"type": "connection_init", "payload": {"authorization": token}},
            {"id": "1", "type": "subscribe", "payload": asked},
        )
        _, told = [json.loads(await socket.recv()) for _ in range(2)]

    assert codes(plain) == codes(strict) == ["TIMEOUT"]
    assert strict.status_code == 503
    assert '"code":"TIMEOUT"' in events.text
    assert events.text.endswith("event: complete\ndata:\n\n")
    assert (told["type"], told["payload"][0]["extensions"]["code"]) == ("error", "TIMEOUT")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("text", [NAMES, NAMES_THAT_WERE])
async def test_accidents_are_hidden_over_every_way_in(
    api: Api, token: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    await api.execute("DROP TABLE read.projects CASCADE")
    asked = {"query": text}
    async with (
        asyncio.timeout(30),
        served(api) as address,
        httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=20) as http,
        connect(address) as socket,
    ):
        url = address.replace("ws", "http", 1)
        strict, events = [
            await http.post(url, json=asked, headers={"Accept": accept})
            for accept in (RESPONSE, EVENTS)
        ]
        await exchange(
            socket,
            {"type": "connection_init", "payload": {"authorization": token}},
            {"id": "1", "type": "subscribe", "payload": asked},
        )
        _, told = [str(await socket.recv()) for _ in range(2)]

    # HTTP cannot carry a subscription; it is refused before anything is read.
    answers = [events.text, told] + ([strict.text] if text == NAMES else [])
    for answer in answers:
        [correlation_id] = re.findall(r'"correlationId": ?"([^"]+)"', answer)
        assert correlation_id in caplog.text
        assert "INTERNAL" in answer
        assert "read.projects" not in answer
    assert strict.status_code == (500 if text == NAMES else 406)


async def test_a_token_that_nobody_can_look_up_is_no_wrong_one(api: Api, token: str) -> None:
    init = {"type": "connection_init", "payload": {"authorization": token}}
    async with (
        asyncio.timeout(30),
        served(limited(api, limit_seconds=0.3)) as address,
        httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=20) as http,
        connect(address) as socket,
        locked(api, "access.tokens"),
    ):
        answer = await post(http, "{ __typename }", url=address.replace("ws", "http", 1))
        await exchange(socket, init)
        await socket.wait_closed()

    assert (answer.status_code, codes(answer)) == (503, ["UNAVAILABLE"])
    assert socket.close_code == 1013  # clients come back after this one


async def test_a_wrong_token_of_the_handshake_is_refused_too(api: Api, token: str) -> None:
    async with asyncio.timeout(20), served(api) as address:
        for given, ending in (("sbk_wrong", 4403), (token, None)):
            headers = {"Authorization": f"Bearer {given}"}
            async with connect(address, headers=headers) as socket:
                await exchange(socket, {"type": "connection_init"})
                if ending:
                    await socket.wait_closed()
                else:
                    assert json.loads(await socket.recv())["type"] == "connection_ack"
                assert socket.close_code == ending


async def test_a_request_that_does_not_come_in_is_given_up(api: Api) -> None:
    async with (
        asyncio.timeout(20),
        served(limited(api, limit_seconds=0.2)) as address,
        raw(address, body=b"{") as (reader, _),
    ):
        answer = await reader.read()  # until the connection is closed

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert json.loads(body)["errors"][0]["extensions"]["code"] == "TIMEOUT"


async def test_a_request_that_breaks_off_is_no_accident(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(20), served(api) as address:
        for _ in range(3):
            async with raw(address, body=b"{"):
                pass
        async with connect(address):  # and it goes on
            pass

    assert "unanticipated" not in caplog.text


@contextlib.asynccontextmanager
async def raw(
    address: str, *, body: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send a request whose body is longer than what comes of it."""
    url = httpx.URL(address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 500\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
