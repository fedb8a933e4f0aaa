"""Clients that stop reading, or leave without a word, leave nothing behind."""

import asyncio
import contextlib
import gc
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
import uvicorn
from starlette import routing

from app import asgi, websocket_protocol
from app.application import request
from app.graphql import http
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio

_STREAMS = 200
_PATIENCE = 60.0


@contextlib.asynccontextmanager
async def served(api: Api) -> AsyncIterator[tuple[uvicorn.Server, http.GraphQLApp]]:
    application = asgi.create(api.parts)
    config = uvicorn.Config(
        application, port=0, log_config=None, lifespan="off", ws=websocket_protocol.Protocol
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(_PATIENCE):
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
    try:
        [endpoint, *_] = [r.endpoint for r in application.routes if isinstance(r, routing.Route)]
        yield server, cast("http.GraphQLApp", endpoint)
    finally:
        application.state.streams.stop()
        server.should_exit = True
        await running


async def opened(port: int, token: str, *, is_websocket: bool) -> socket.socket:
    """Open a stream whose client takes nothing of what it is sent."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(0)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    query = 'subscription { auditEvents(after: "0") { position event details } }'
    if is_websocket:
        head = (
            "GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )
        payload = {"authorization": token}
        messages = (
            {"type": "connection_init", "payload": payload},
            {"type": "subscribe", "id": "1", "payload": {"query": query}},
        )
        await loop.sock_sendall(client, head.encode())
        switched = b""
        while not switched.endswith(b"\r\n\r\n"):  # what comes sooner is dropped
            switched += await loop.sock_recv(client, 1024)
        await loop.sock_sendall(client, b"".join(map(frame, messages)))
    else:
        body = json.dumps({"query": query})
        head = (
            "POST /graphql HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        await loop.sock_sendall(client, head.encode())
    return client


def frame(message: object) -> bytes:
    text = json.dumps(message).encode()
    length = (
        bytes([0xFE]) + len(text).to_bytes(2, "big")
        if len(text) > 125
        else bytes([0x80 | len(text)])
    )
    return b"\x81" + length + b"\0\0\0\0" + text


async def test_abandoned_streams_leave_nothing_behind(api: Api, shop: Shop, token: str) -> None:
    async with served(api) as (server, graphql):
        groups, open_streams = graphql.groups, graphql.streams
        port = server.servers[0].sockets[0].getsockname()[1]
        before, objects = len(asyncio.all_tasks()), 0
        for round_ in range(2):
            clients = [
                await opened(port, token, is_websocket=number % 2 == 0)
                for number in range(_STREAMS)
            ]
            await until(lambda: len(open_streams) == _STREAMS)
            await until(lambda: len(groups) == _STREAMS)
            for number in range(30):
                await api.parts.application.services.rename_prefix(
                    request=request.Request(actor="ada", name="renamePrefix"),
                    service_instance_id=shop.database,
                    prefix=f"NAME{round_}N{number}",
                )
            for number, client in enumerate(clients):
                if number % 3:  # some leave without a word, others say goodbye
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
            await until(lambda: len(open_streams) == 0)
            await until(lambda: not server.server_state.connections)
            await until(lambda: len(asyncio.all_tasks()) <= before)
            gc.collect()
            found = len(gc.get_objects())
            assert round_ == 0 or found < objects * 1.02, (objects, found)
            objects = found
        stats = api.parts.pool.get_stats()
        assert stats["pool_available"] == stats["pool_size"]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not is_so():  # noqa: ASYNC110  none of these tells by itself
            await asyncio.sleep(0.02)
