"""Streams end as they should: with the process, with the token, with the client."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import psycopg
import pytest
import websockets

from app import bootstrap
from app.access import caller
from app.application import request, tokens
from tests.journeys.client import Api, Json
from tests.journeys.conftest import Launch, beside

pytestmark = pytest.mark.anyio

LOG = "subscription { auditEvents { position event } }"
EVENTS = {"Accept": "text/event-stream"}


async def token(api: Api, *, lifetime: timedelta | None = None) -> str:
    async with bootstrap.token_commands(conninfo=api.product.dsn) as commands:
        _, made, _ = await commands.create(
            request=request.Request(actor="a test", name="createToken"),
            wanted=tokens.Wanted(
                subject="admin",
                name="a test",
                roles=frozenset({caller.Role.OPERATOR}),
                lifetime=lifetime,
            ),
        )
    assert made is not None
    return made


@contextlib.asynccontextmanager
async def told(api: Api, *, by: str, query: str = LOG) -> AsyncIterator[httpx.Response]:
    """Open a stream over Server-Sent Events."""
    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream(
            "POST",
            f"{api.product.url}/graphql",
            json={"query": query},
            headers={**EVENTS, "Authorization": f"Bearer {by}"},
        ) as response,
    ):
        yield response


@contextlib.asynccontextmanager
async def connected(
    api: Api, *, by: str, query: str = LOG, name: str = "1"
) -> AsyncIterator[websockets.ClientConnection]:
    """Open a stream over a WebSocket."""
    address = api.product.url.replace("http", "ws", 1) + "/graphql"
    protocol = websockets.Subprotocol("graphql-transport-ws")
    async with websockets.connect(address, subprotocols=[protocol]) as socket:
        for message in (
            {"type": "connection_init", "payload": {"authorization": by}},
            {"type": "subscribe", "id": name, "payload": {"query": query}},
        ):
            await socket.send(json.dumps(message))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        yield socket


async def closed(socket: websockets.ClientConnection) -> int | None:
    """Take what is sent until the other side closes the connection; return how."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code


async def test_both_kinds_of_streams_end_when_the_token_expires(served: Api) -> None:
    short = await token(served, lifetime=timedelta(seconds=1))
    valid = await token(served)

    async with (
        asyncio.timeout(20),
        connected(served, by=valid) as staying,
        connected(served, by=short) as socket,
        told(served, by=short) as response,
    ):
        text = (await response.aread()).decode()
        code = await closed(socket)
        await staying.send('{"type":"ping"}')
        assert json.loads(await staying.recv())["type"] == "pong"

    assert code == 4403
    assert "UNAUTHENTICATED" in text
    assert text.endswith("event: complete\ndata:\n\n")


async def test_streams_end_when_the_token_is_revoked(served: Api) -> None:
    revoked = await token(served)

    async with asyncio.timeout(20), connected(served, by=revoked) as socket:
        listed = served.ask("{ tokens(first: 100) { nodes { id name } } }")["tokens"]["nodes"]
        newest = [each["id"] for each in listed if each["name"] == "a test"][-1]
        served.do("revokeToken", id=newest)
        assert await closed(socket) == 4403


async def test_stopping_ends_streams_and_loses_nothing_that_was_accepted(launch: Launch) -> None:
    for _ in range(3):
        seconds = await stopped(launch())
        if seconds < 2:
            break  # else something else may have held the processors

    assert seconds < 2


async def stopped(api: Api) -> float:
    """Stop a process with open streams and commands under way; return how long that took."""
    accepted: list[str] = []

    async with contextlib.AsyncExitStack() as stack:
        sockets, responses = [], []
        for _ in range(10):
            sockets.append(await stack.enter_async_context(connected(api, by=api.product.token)))
            responses.append(await stack.enter_async_context(told(api, by=api.product.token)))
        reading = [asyncio.create_task(response.aread()) for response in responses]
        commanding = [asyncio.create_task(_command(api, accepted, n)) for n in range(4)]
        while len(accepted) < 20:  # noqa: ASYNC110  the commands are on their way
            await asyncio.sleep(0.01)
        begin = time.monotonic()
        code = await asyncio.to_thread(api.product.stop)
        seconds = time.monotonic() - begin
        texts = [(await each).decode() for each in reading]
        codes = [await closed(socket) for socket in sockets]
        await asyncio.gather(*commanding)

    assert code == 0
    assert codes == [1012] * 10
    assert all(text.endswith("event: complete\ndata:\n\n") for text in texts)
    assert "Traceback" not in api.product.output
    with psycopg.connect(api.product.dsn) as connection:
        stored = connection.execute("SELECT name FROM read.projects").fetchall()
    assert set(accepted) <= {name for (name,) in stored}
    return seconds


async def test_one_process_stops_and_another_goes_on(launch: Launch) -> None:
    first = launch()

    with beside(first) as second:
        async with (
            asyncio.timeout(30),
            connected(first, by=first.product.token) as here,
            connected(second, by=second.product.token) as there,
        ):
            await there.send('{"type":"ping"}')
            while json.loads(await there.recv())["type"] != "pong":
                pass
            await asyncio.to_thread(first.product.stop)
            assert await closed(here) == 1012
            second.project()
            message = json.loads(await there.recv())

    assert message["payload"]["data"]["auditEvents"]["event"] == "ProjectCreated"


async def test_those_who_ask_the_same_are_told_each_event_once(served: Api) -> None:
    by, start = served.product.token, created(served)
    query = (
        f'subscription {{ auditEvents(after: "{start}", filter: {{events: ["ProjectCreated"]}})'
        " { position } }"
    )

    async with (
        asyncio.timeout(30),
        connected(served, by=by, query=query, name="a") as staying,
        connected(served, by=by, query=query, name="b") as leaving,
        told(served, by=by, query=query) as response,
    ):
        begin = [await asyncio.to_thread(created, served) for _ in range(3)]
        left = [json.loads(await leaving.recv()) for _ in begin]
        await leaving.close()
        async with connected(served, by=by, query=query, name="c") as joining:
            end = [await asyncio.to_thread(created, served) for _ in range(3)]
            joined = [json.loads(await joining.recv()) for _ in (*begin, *end)]
        stayed = [json.loads(await staying.recv()) for _ in (*begin, *end)]
        streamed = response.aiter_lines()
        data = [json.loads(line[6:]) async for line in first(streamed, 6, begin="data: {")]

    assert [(each["id"], position(each["payload"])) for each in left] == [("b", n) for n in begin]
    everything = [*begin, *end]
    assert [(each["id"], position(each["payload"])) for each in joined] == [
        ("c", each) for each in everything
    ]
    assert [(each["id"], position(each["payload"])) for each in stayed] == [
        ("a", each) for each in everything
    ]
    assert [position(each) for each in data] == everything


def created(api: Api) -> str:
    """Create a project; return the position of the event."""
    found = api.ask(
        """query ($id: ID!) { auditEvents(filter: {project: $id, events: ["ProjectCreated"]}) {
        nodes { position } } }""",
        id=api.project().id,
    )
    return str(found["auditEvents"]["nodes"][0]["position"])


async def first(lines: AsyncIterator[str], count: int, *, begin: str) -> AsyncIterator[str]:
    """Yield so many lines that begin so."""
    while count:
        line = await anext(lines)
        if line.startswith(begin):
            count -= 1
            yield line


def position(payload: Json) -> str:
    return str(payload["data"]["auditEvents"]["position"])


async def _command(api: Api, accepted: list[str], series: int) -> None:
    """Create projects until the program is gone; note those that were answered."""
    document = "mutation ($name: String!) { createProject(input: {name: $name}) { __typename } }"
    headers = {"Authorization": f"Bearer {api.product.token}"}
    async with httpx.AsyncClient(headers=headers, timeout=10) as http:
        for number in range(10_000):
            name = f"series-{series}-{number}"
            body = {"query": document, "variables": {"name": name}}
            try:
                answer = await http.post(f"{api.product.url}/graphql", json=body)
            except httpx.TransportError:
                return
            if "CreateProjectSuccess" in answer.text:
                accepted.append(name)
