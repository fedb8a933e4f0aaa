"""Which methods, media types and bodies are taken, and how the others are refused."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.app.graphql.test_http import JSON, RESPONSE, codes, post

pytestmark = pytest.mark.anyio

ACCEPTED = [
    (None, JSON), ("", JSON), ("*/*", JSON), ("application/*", JSON), (JSON, JSON),
    (RESPONSE, RESPONSE), (f"{RESPONSE}, {JSON};q=0.9", RESPONSE),
    (f"{RESPONSE};q=0.5, {JSON}", JSON), (f"{RESPONSE.upper()}; charset=utf-8", RESPONSE),
    (f"text/event-stream, {JSON}", JSON), ("multipart/mixed, */*;q=0.1", JSON),
    ("text/plain", None), ("image/*", None), (f"{JSON};q=0", None), ("nonsense", None),
    (f"{JSON};q=much", None),
]  # fmt: skip
SENT = [
    (JSON, True), ("APPLICATION/JSON", True), (f"{JSON}; charset=UTF-8", True),
    (f'{JSON};charset="utf-8"', True), (f"{JSON}; charset=utf-16", False),
    ("", False), ("text/plain", False), ("application/jsonx", False),
    (f"text/{JSON}", False), ("application/x-www-form-urlencoded", False),
    ("multipart/form-data; boundary=x", False),
]  # fmt: skip
NO_VARIABLES = [
    '{"n": NaN}', '{"n": 1e999}', '{"n": -Infinity}', '{"n": ' + "9" * 5000 + "}",
    '{"n": "\\ud800"}', "[" * 5000, "3", '"x"',
]  # fmt: skip


async def test_media_types_of_answers(client: httpx.AsyncClient) -> None:
    del client.headers["Accept"]
    for accept, answered in ACCEPTED:
        headers = {} if accept is None else {"Accept": accept}

        response = await post(client, "{ __typename }", headers=headers)

        assert response.status_code == (200 if answered else 406), accept
        assert response.headers["content-type"].partition(";")[0] == (answered or JSON), accept


async def test_media_types_of_requests(client: httpx.AsyncClient) -> None:
    for content_type, is_taken in SENT:
        response = await client.post(
            "/graphql",
            content=b'{"query": "{__typename}"}',
            headers={"Content-Type": content_type},
        )

        assert response.status_code == (200 if is_taken else 415), content_type
        assert is_taken or codes(response) == ["BAD_USER_INPUT"]


async def test_methods_are_told(client: httpx.AsyncClient) -> None:
    put = await client.put("/graphql")
    options = await client.options("/graphql", headers={"Origin": "https://evil.example"})
    mutation = await client.get(
        "/graphql", params={"query": "mutation { joinBeta { __typename } }"}
    )
    subscription = await post(client, "subscription { auditEvents { position } }")

    assert (put.status_code, put.headers["allow"]) == (405, "GET, POST")
    assert (options.status_code, options.headers["allow"]) == (405, "GET, POST")
    assert (mutation.status_code, mutation.headers["allow"]) == (405, "POST")
    assert subscription.status_code == 406
    for response in (put, options, mutation, subscription):
        assert codes(response) == ["BAD_USER_INPUT"]


async def test_variables_that_are_no_json_are_told_so(client: httpx.AsyncClient) -> None:
    text = "query ($n: ID!) { project(id: $n) { id } }"
    for variables in NO_VARIABLES:
        body = json.dumps({"query": text})[:-1] + f', "variables": {variables}}}'

        posted = await client.post(
            "/graphql", content=body, headers={"Content-Type": JSON, "Accept": RESPONSE}
        )
        gotten = await client.get("/graphql", params={"query": text, "variables": variables})

        assert posted.status_code in (200, 400)
        assert "INTERNAL" not in posted.text + gotten.text


async def test_body_is_counted_while_it_comes_in(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 16_384
            yield b" " * 16_384

    response = await client.post("/graphql", content=endless(), headers={"Content-Type": JSON})

    assert (response.status_code, codes(response)) == (413, ["LIMIT_EXCEEDED"])


async def test_unknown_operation_is_told(client: httpx.AsyncClient) -> None:
    text = "query A { __typename } query B { __typename }"
    for name in ("C", None):
        response = await post(client, text, operationName=name, headers={"Accept": RESPONSE})

        assert (response.status_code, codes(response)) == (400, ["BAD_USER_INPUT"])
