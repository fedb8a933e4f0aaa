import asyncio
import contextlib
import dataclasses
import json
import uuid
from collections.abc import AsyncIterator, Mapping

import graphql
import httpx
import pytest
import uvicorn
import websockets

from app import asgi, websocket_protocol
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio

JSON = "application/json"
RESPONSE = "application/graphql-response+json"


async def post(
    client: httpx.AsyncClient,
    query: str,
    *,
    headers: dict[str, str] | None = None,
    url: str = "/graphql",
    **more: object,
) -> httpx.Response:
    return await client.post(url, json={"query": query, **more}, headers=headers)


def codes(response: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in response.json()["errors"]]


async def test_query_over_post_and_get(client: httpx.AsyncClient, shop: Shop) -> None:
    text = "query Q($id: ID!) { project(id: $id) { name } } query R { __typename }"
    variables = {"id": shop.id("project")}

    posted = await post(client, text, variables=variables, operationName="Q")
    gotten = await client.get(
        "/graphql",
        params={"query": text, "variables": json.dumps(variables), "operationName": "Q"},
    )

    assert posted.json() == gotten.json() == {"data": {"project": {"name": "shop"}}}
    assert posted.headers["content-type"].startswith(JSON)


async def test_both_media_types(client: httpx.AsyncClient) -> None:
    fine = await post(client, "{ __typename }", headers={"Accept": RESPONSE})
    wrong = await post(client, "{ nothing }", headers={"Accept": RESPONSE})
    legacy = await post(client, "{ nothing }")
    syntax = await post(client, "{ nothing", headers={"Accept": RESPONSE})

    assert (fine.status_code, fine.headers["content-type"]) == (200, RESPONSE)
    assert (wrong.status_code, wrong.headers["content-type"]) == (400, RESPONSE)
    assert "data" not in wrong.json()
    assert legacy.status_code == 200
    assert codes(wrong) == codes(legacy) == codes(syntax) == ["BAD_USER_INPUT"]
    assert syntax.status_code == 400


NO_REQUESTS = [
    b"", b"{", b"3", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b"[{}]", b"{}",
    b'{"query": 3}', b'{"query": "{a}", "variables": 3}', b'{"query": " "}',
    b'{"query": "{__typename}", "operationName": 3}', b'{"query": "{a}", "extensions": []}',
]  # fmt: skip


async def test_what_is_no_request_is_told_so(client: httpx.AsyncClient) -> None:
    for body in NO_REQUESTS:
        response = await client.post("/graphql", content=body, headers={"Content-Type": JSON})

        assert response.status_code == 400, body
        assert codes(response) == ["BAD_USER_INPUT"]


async def test_methods_and_sizes(client: httpx.AsyncClient) -> None:
    assert (await client.put("/graphql")).status_code == 405
    mutation = await client.get(
        "/graphql", params={"query": "mutation { joinBeta { __typename } }"}
    )
    assert mutation.status_code in (400, 405)
    large = await post(client, "{ __typename }" + " " * 300_000)
    assert (large.status_code, codes(large)) == (413, ["LIMIT_EXCEEDED"])


@pytest.mark.usefixtures("shop")
async def test_tokens(client: httpx.AsyncClient) -> None:
    nothing = {"Authorization": ""}
    wrong = await post(client, "{ __typename }", headers={"Authorization": "Bearer sbk_wrong"})
    anonymous = await post(client, "{ projects { nodes { id } } }", headers=nothing)
    viewer = await post(client, "{ viewer { subject } }", headers=nothing)
    mutation = await post(
        client,
        'mutation { createProject(input: {name: "x"}) { __typename } }',
        headers=nothing,
    )

    assert (wrong.status_code, codes(wrong)) == (401, ["UNAUTHENTICATED"])
    assert codes(anonymous) == codes(mutation) == ["UNAUTHENTICATED"]
    assert viewer.json() == {"data": {"viewer": None}}
    me = await post(client, "{ viewer { subject } }")
    assert me.json() == {"data": {"viewer": {"subject": "ada"}}}


async def test_limits_of_an_operation(client: httpx.AsyncClient) -> None:
    inside = "project { environments { " * 6 + "id" + " } }" * 6
    deep = await post(client, f"{{ projects {{ nodes {{ environments {{ {inside} }} }} }} }}")
    long = await post(client, "{" + " __typename" * 2001 + "}")
    doubling = await post(
        client,
        "{ ...F0 }"
        + "".join(
            f" fragment F{n} on Query"
            f" {{ a{n}: __typename ...F{n + 1} b{n}: __typename ...F{n + 1} }}"
            for n in range(25)
        )
        + " fragment F25 on Query { __typename }",
    )

    wide = await post(
        client,
        'query { project(id: "x") { ...F0 } }'
        + "".join(
            f" fragment F{n} on Project {{ "
            + " ".join(f"a{m}: environments {{ project {{ ...F{n + 1} }} }}" for m in range(20))
            + " }"
            for n in range(4)
        )
        + " fragment F4 on Project { id }",
    )

    assert codes(deep) == codes(wide) == ["LIMIT_EXCEEDED"]
    assert codes(long) == ["LIMIT_EXCEEDED"]
    assert codes(doubling) == ["LIMIT_EXCEEDED"]


async def test_whole_introspection_query(client: httpx.AsyncClient) -> None:
    response = await post(
        client,
        graphql.get_introspection_query(
            descriptions=True, specified_by_url=True, directive_is_repeatable=True,
            schema_description=True, input_value_deprecation=True,
        ),
    )  # fmt: skip

    built = graphql.build_client_schema(response.json()["data"])
    assert built.query_type.name == "Query"


async def test_introspection_can_be_closed_and_the_rest_stays_open(api: Api, token: str) -> None:
    closed = dataclasses.replace(api.parts.settings, introspection=False)
    parts = dataclasses.replace(api.parts, settings=closed)
    headers = {"Authorization": f"Bearer {token}", "Accept": JSON}
    transport = httpx.ASGITransport(asgi.create(parts))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://servicebook", headers=headers
    ) as client:
        asked = [
            await post(client, query)
            for query in (
                "{ __schema { types { name } } }",
                '{ ...Hidden } fragment Hidden on Query { alias: __type(name: "Query") { name } }',
                "{ __typename catalogue { name __typename } }",
            )
        ]

    assert [codes(each) for each in asked[:2]] == [["FORBIDDEN"], ["FORBIDDEN"]]
    assert asked[2].json()["data"]["__typename"] == "Query"


async def test_what_nobody_anticipated_is_hidden(
    client: httpx.AsyncClient, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    await api.execute("DROP TABLE read.offerings")

    response = await post(client, "{ catalogue { name } }")

    [error] = response.json()["errors"]
    assert error["message"] == "internal error"
    assert error["extensions"]["code"] == "INTERNAL"
    assert uuid.UUID(error["extensions"]["correlationId"])
    assert error["extensions"]["correlationId"] in caplog.text
    assert "offerings" not in response.text


async def test_browser_gets_the_page(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", headers={"Accept": "text/html,*/*;q=0.8"})

    assert response.headers["content-type"].startswith("text/html")


@contextlib.asynccontextmanager
async def served(api: Api) -> AsyncIterator[str]:
    """The application behind a real server, which speaks WebSocket."""
    config = uvicorn.Config(
        asgi.create(api.parts),
        port=0,
        log_config=None,
        lifespan="off",
        ws=websocket_protocol.Protocol,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    try:
        yield f"ws://{host}:{port}/graphql"
    finally:
        server.should_exit = True
        await running


def connect(address: str, *, headers: Mapping[str, str] | None = None) -> websockets.connect:
    protocol = websockets.Subprotocol("graphql-transport-ws")
    return websockets.connect(address, subprotocols=[protocol], additional_headers=headers)


async def exchange(socket: websockets.ClientConnection, *messages: object) -> None:
    for message in messages:
        await socket.send(json.dumps(message))


@pytest.mark.usefixtures("shop")
async def test_subscription_over_a_websocket(api: Api, token: str) -> None:
    async with asyncio.timeout(20), served(api) as address, connect(address) as socket:
        await exchange(
            socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
        )
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        query = 'subscription { auditEvents(after: "0") { position event } }'
        await exchange(socket, {"id": "1", "type": "subscribe", "payload": {"query": query}})
        first = json.loads(await socket.recv())
        await exchange(socket, {"id": "1", "type": "complete"})
        query = "{ projects { nodes { name } } }"
        await exchange(socket, {"id": "2", "type": "subscribe", "payload": {"query": query}})
        answers = [json.loads(await socket.recv())]
        while answers[-1]["id"] != "2":
            answers.append(json.loads(await socket.recv()))

    event = first["payload"]["data"]["auditEvents"]
    assert event == {"position": "1", "event": "ProjectCreated"}
    assert answers[-1]["payload"]["data"] == {"projects": {"nodes": [{"name": "shop"}]}}


async def test_a_revoked_token_begins_nothing_more_over_a_websocket(api: Api, token: str) -> None:
    async with asyncio.timeout(20), served(api) as address, connect(address) as socket:
        await exchange(
            socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
        )
        await socket.recv()
        await api.execute("UPDATE read.api_tokens SET revoked_at = now() WHERE subject = 'ada'")
        payload = {"query": "{ projects { totalCount } }"}
        await exchange(socket, {"id": "1", "type": "subscribe", "payload": payload})
        answer = json.loads(await socket.recv())

    assert "UNAUTHENTICATED" in json.dumps(answer)


async def test_wrong_token_and_no_token_over_a_websocket(api: Api) -> None:
    async with asyncio.timeout(20), served(api) as address:
        async with connect(address) as socket:
            await exchange(
                socket, {"type": "connection_init", "payload": {"authorization": "sbk_wrong"}}
            )
            await socket.wait_closed()
            assert socket.close_code == 4403
        async with connect(address) as socket:
            query = 'subscription { auditEvents(after: "0") { position } }'
            await exchange(
                socket,
                {"type": "connection_init"},
                {"id": "1", "type": "subscribe", "payload": {"query": query}},
            )
            await socket.recv()
            refused = json.loads(await socket.recv())
            [error] = refused["payload"]
            assert error["extensions"]["code"] == "UNAUTHENTICATED"


FRAMES = [
    "3", "[]", "{", "null", '{"type": 3}', "{}", '{"type":"subscribe","id":1}',
    '{"type":"subscribe","id":"1","payload":3}', '{"type":"connection_init","payload":3}',
    '{"type":"subscribe","id":"1","payload":{"query":3}}', "[" * 20000, b"{}",
]  # fmt: skip


async def test_malformed_frames_close_the_connection(api: Api) -> None:
    async with asyncio.timeout(20), served(api) as address:
        for message in FRAMES:
            async with connect(address) as socket:
                await socket.send(message)
                await socket.wait_closed()

                assert 4400 <= (socket.close_code or 0) < 4500, message


async def test_who_asks_too_much_is_told_when_to_come_back(
    api: Api, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        api, "parts", dataclasses.replace(
            api.parts, settings=dataclasses.replace(api.parts.settings, limit_budget=300)
        )
    )  # fmt: skip
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi.create(api.parts)),
        base_url="http://servicebook",
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        text = "{ projects(first: 100) { nodes { id } } }"
        fine, refused = [await post(client, text) for _ in range(2)]
        anonymous = await post(client, "{ __typename }", headers={"Authorization": ""})

    assert (fine.status_code, anonymous.status_code) == (200, 200)
    assert (refused.status_code, codes(refused)) == (429, ["RATE_LIMITED"])
    assert 0 < int(refused.headers["retry-after"]) <= 60


async def test_answers_protect_whoever_reads_them(client: httpx.AsyncClient) -> None:
    for response in (
        await post(client, "{ __typename }"),
        await client.get("/healthz"),
        await client.get("/nowhere"),
        await client.put("/graphql"),
    ):
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in response.headers
        assert "access-control-allow-origin" not in response.headers
        assert response.json()


async def test_pages_of_other_sites_ask_if_they_are_listed(api: Api) -> None:
    settings = dataclasses.replace(api.parts.settings, allowed_origins=("https://console.example",))
    application = asgi.create(dataclasses.replace(api.parts, settings=settings))
    asked = {"Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://servicebook"
    ) as client:
        listed = {"Origin": "https://console.example"}
        other = {"Origin": "https://evil.example"}
        preflight = await client.options("/graphql", headers=listed | asked)
        refused = await client.options("/graphql", headers=other | asked)
        answer = await post(client, "{ __typename }", headers=listed)
        unseen = await post(client, "{ __typename }", headers=other)

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://console.example"
    assert "access-control-allow-credentials" not in preflight.headers
    assert refused.status_code == 400
    assert answer.headers["access-control-allow-origin"] == "https://console.example"
    assert "access-control-allow-origin" not in unseen.headers


@pytest.mark.usefixtures("shop")
async def test_events_over_http(client: httpx.AsyncClient) -> None:
    events = {"Accept": "text/event-stream"}

    query = await post(client, "{ viewer { subject } }", headers=events)
    wrong = await post(client, "{ nothing }", headers=events)
    mutation = await client.get(
        "/graphql",
        params={"query": "mutation { joinBeta { __typename } }"},
        headers=events,
    )

    assert query.headers["content-type"].startswith("text/event-stream")
    assert query.text == (
        'event: next\ndata: {"data":{"viewer":{"subject":"ada"}}}\n\nevent: complete\ndata:\n\n'
    )
    assert wrong.text.startswith('event: next\ndata: {"errors":[{"message":"Cannot query field')
    assert "BAD_USER_INPUT" in mutation.text
    assert '"data":{"joinBeta"' not in mutation.text


async def test_without_a_database_nothing_breaks(api: Api, client: httpx.AsyncClient) -> None:
    await api.parts.pool.close()

    response = await post(client, "{ projects { nodes { id } } }")

    assert (response.status_code, codes(response)) == (503, ["UNAVAILABLE"])
