import asyncio
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app import asgi, settings
from app.graphql import trusted
from tests.app.graphql.asking import Api, Shop
from tests.app.graphql.test_http import codes, connect, exchange, served

pytestmark = pytest.mark.anyio

PROJECT = "query Project($id: ID!) { project(id: $id) { name } }"
EVENTS = 'subscription Events { auditEvents(after: "0") { position event } }'
CREATE = 'mutation Create { createProject(input: {name: "made"}) { __typename } }'
UNTRUSTED = "{ viewer { subject } }"
SCHEMA = asgi._schema()._schema


def id_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def manifest(directory: Path, content: object) -> Path:
    path = directory / "documents.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def open_api(api: Api, directory: Path) -> Api:
    """An API that knows some documents, and answers others too."""
    path = manifest(directory, {id_of(text): text for text in (PROJECT, EVENTS, CREATE)})
    wanted = dataclasses.replace(api.parts.settings, trusted_documents=path)
    return dataclasses.replace(api, parts=dataclasses.replace(api.parts, settings=wanted))


@pytest.fixture
def closed_api(open_api: Api) -> Api:
    """An API that answers nothing else."""
    wanted = dataclasses.replace(open_api.parts.settings, only_trusted_documents=True)
    return dataclasses.replace(open_api, parts=dataclasses.replace(open_api.parts, settings=wanted))


@contextlib.asynccontextmanager
async def client(api: Api, token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi.create(api.parts)),
        base_url="http://servicebook",
        headers={"Authorization": f"Bearer {token}"},
    ) as made:
        yield made


async def test_a_document_is_answered_by_its_id(open_api: Api, token: str, shop: Shop) -> None:
    variables = {"id": shop.id("project")}
    bodies = [
        {"documentId": id_of(PROJECT)},
        {"documentId": f"sha256:{id_of(PROJECT)}"},
        {"documentId": id_of(PROJECT), "query": ""},
        {"documentId": id_of(PROJECT), "query": None, "operationName": "Project"},
        {"documentId": None, "query": PROJECT},
    ]
    asked = {"documentId": id_of(PROJECT), "variables": json.dumps(variables)}
    browser = {"Accept": "text/html, application/json"}
    async with client(open_api, token) as http:
        posted = [
            await http.post("/graphql", json=body | {"variables": variables}) for body in bodies
        ]
        gotten = await http.get("/graphql", params=asked)
        page = await http.get("/graphql", params=asked, headers=browser)
        untrusted = await http.post("/graphql", json={"query": UNTRUSTED})

    assert [answer.json() for answer in [*posted, gotten, page]] == [
        {"data": {"project": {"name": "shop"}}}
    ] * 7
    assert untrusted.json() == {"data": {"viewer": {"subject": "ada"}}}


@pytest.mark.parametrize(
    "sent",
    [
        {"documentId": id_of(UNTRUSTED)},
        {"documentId": id_of(PROJECT), "query": PROJECT},
        {"documentId": 3},
        {"documentId": [id_of(PROJECT)]},
        {"documentId": ""},
        {"documentId": id_of(PROJECT).upper()},
        {"documentId": None},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": id_of(PROJECT)}}},
    ],
)
async def test_what_names_no_document_is_told_so(open_api: Api, token: str, sent: object) -> None:
    async with client(open_api, token) as http:
        answer = await http.post("/graphql", json=sent)

    assert (answer.status_code, codes(answer)) == (400, ["BAD_USER_INPUT"])


async def test_an_id_is_told_to_be_unknown_where_there_are_no_documents(
    api: Api, token: str
) -> None:
    async with client(api, token) as http:
        answer = await http.post("/graphql", json={"documentId": id_of(PROJECT)})

    assert (answer.status_code, codes(answer)) == (400, ["BAD_USER_INPUT"])


async def test_anything_else_is_refused_where_only_trusted_documents_are_allowed(
    closed_api: Api, token: str, shop: Shop
) -> None:
    variables = {"id": shop.id("project")}
    texts = [
        UNTRUSTED,
        "{ __typename }",
        "{ __schema { types { name } } }",
        f" {PROJECT}",
        "",
        "no GraphQL",
        "\ud800",
    ]
    json_type = {"Content-Type": "application/json"}
    async with client(closed_api, token) as http:
        named = await http.post(
            "/graphql", json={"documentId": id_of(PROJECT), "variables": variables}
        )
        in_full = await http.post("/graphql", json={"query": PROJECT, "variables": variables})
        posted = [
            await http.post("/graphql", content=json.dumps({"query": text}), headers=json_type)
            for text in texts
        ]
        gotten = await http.get("/graphql", params={"query": UNTRUSTED})
        anonymous = await http.post(
            "/graphql", json={"query": UNTRUSTED}, headers={"Authorization": ""}
        )
        nothing = await http.post("/graphql", json={})

    assert named.json() == in_full.json() == {"data": {"project": {"name": "shop"}}}
    assert [(answer.status_code, codes(answer)) for answer in [*posted, gotten, anonymous]] == [
        (403, ["FORBIDDEN"])
    ] * 9
    assert (nothing.status_code, codes(nothing)) == (400, ["BAD_USER_INPUT"])


async def test_a_document_needs_a_token_as_its_text_does(closed_api: Api, token: str) -> None:
    async with client(closed_api, token) as http:
        answer = await http.post(
            "/graphql", json={"documentId": id_of(CREATE)}, headers={"Authorization": ""}
        )

    assert codes(answer) == ["UNAUTHENTICATED"]


async def test_a_mutation_is_not_carried_out_by_a_get(open_api: Api, token: str) -> None:
    async with client(open_api, token) as http:
        answer = await http.get("/graphql", params={"documentId": id_of(CREATE)})

    assert answer.status_code in (400, 405)


@pytest.mark.usefixtures("shop")
async def test_documents_over_a_websocket(closed_api: Api, token: str) -> None:
    def subscribe(id_: str, **payload: object) -> dict[str, object]:
        return {"id": id_, "type": "subscribe", "payload": payload}

    async with asyncio.timeout(20), served(closed_api) as address, connect(address) as socket:
        await exchange(
            socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
        )
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        told = {}
        for message in (
            subscribe("untrusted", query=UNTRUSTED),
            subscribe("unknown", documentId=id_of(UNTRUSTED)),
            subscribe("both", documentId=id_of(EVENTS), query=EVENTS),
            subscribe("strange", documentId=3),
            subscribe("named", documentId=id_of(EVENTS)),
        ):
            await exchange(socket, message)
            told[message["id"]] = json.loads(await socket.recv())
        await exchange(socket, {"id": "named", "type": "complete"})
        await exchange(socket, subscribe("graphql-ws", documentId=id_of(EVENTS), query=""))
        while told.setdefault("graphql-ws", {}).get("id") != "graphql-ws":
            told["graphql-ws"] = json.loads(await socket.recv())
        await exchange(socket, subscribe("neither", documentId=None))
        await socket.wait_closed()

    first = {"auditEvents": {"position": "1", "event": "ProjectCreated"}}
    assert told["named"]["payload"] == told["graphql-ws"]["payload"] == {"data": first}
    assert {
        id_: (message["type"], message["payload"][0]["extensions"]["code"])
        for id_, message in told.items()
        if id_ not in ("named", "graphql-ws")
    } == {
        "untrusted": ("error", "FORBIDDEN"),
        "unknown": ("error", "BAD_USER_INPUT"),
        "both": ("error", "BAD_USER_INPUT"),
        "strange": ("error", "BAD_USER_INPUT"),
    }
    assert socket.close_code == 4400


async def test_the_protocol_comes_before_the_documents(closed_api: Api) -> None:
    message = {"id": "1", "type": "subscribe", "payload": {"query": UNTRUSTED}}
    async with asyncio.timeout(20), served(closed_api) as address, connect(address) as socket:
        await exchange(socket, message)
        await socket.wait_closed()

    assert socket.close_code == 4401


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "must be a JSON object"),
        ({"0" * 64: PROJECT}, f"the id must be the SHA-256 of the document, {id_of(PROJECT)}"),
        ({id_of(PROJECT).upper(): PROJECT}, "the id must be the SHA-256"),
        ({id_of(PROJECT): {"text": PROJECT}}, "the document must be a string"),
        ({id_of("{ nothing }"): "{ nothing }"}, "Cannot query field 'nothing'"),
        ({id_of("{ nothing"): "{ nothing"}, "Syntax Error"),
        ({id_of("{" * 9000): "{" * 9000}, id_of("{" * 9000)),
        ({id_of(""): ""}, "Syntax Error"),
    ],
)
def test_a_wrong_manifest_is_told_apart(directory: Path, content: object, problem: str) -> None:
    path = manifest(directory, content)

    with pytest.raises(trusted.ManifestError) as caught:
        trusted.load(path, is_exclusive=False, schema=SCHEMA)

    assert problem in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_json_is_told_so(directory: Path, content: bytes) -> None:
    path = directory / "documents.json"
    path.write_bytes(content)

    with pytest.raises(trusted.ManifestError, match="cannot be read"):
        trusted.load(path, is_exclusive=False, schema=SCHEMA)


def test_ids_of_a_manifest_may_say_what_they_are(directory: Path) -> None:
    path = manifest(directory, {f"sha256:{id_of(PROJECT)}": PROJECT})

    documents = trusted.load(path, is_exclusive=True, schema=SCHEMA)

    for document_id in (id_of(PROJECT), f"sha256:{id_of(PROJECT)}"):
        assert documents.text({"documentId": document_id}) == PROJECT
    assert documents.text({"query": PROJECT}) == PROJECT


def test_a_manifest_that_is_not_there_is_told_so(directory: Path) -> None:
    with pytest.raises(trusted.ManifestError, match="cannot be read"):
        trusted.load(directory / "none.json", is_exclusive=False, schema=SCHEMA)


def test_all_problems_of_a_manifest_are_told_at_once(directory: Path) -> None:
    path = manifest(directory, {"a": PROJECT, "b": "{ nothing }"})

    with pytest.raises(trusted.ManifestError) as caught:
        trusted.load(path, is_exclusive=False, schema=SCHEMA)

    assert "a: the id" in str(caught.value)
    assert "b: the id" in str(caught.value)
    assert "b: Cannot query field" in str(caught.value)


def test_only_trusted_documents_need_a_manifest() -> None:
    with pytest.raises(settings.SettingsError) as caught:
        settings.load({"SERVICEBOOK_ONLY_TRUSTED_DOCUMENTS": "true"})

    assert "SERVICEBOOK_TRUSTED_DOCUMENTS" in str(caught.value)
