"""What the reference clients find: graphql-http's audits, graphql-ws, graphql-sse, ws."""

import json
from typing import Any

import pytest

from tests.edge.conftest import Node
from tests.journeys.client import Api

INIT = '{"type":"connection_init","payload":{"authorization":"TOKEN"}}'
ENDLESS = "subscription { auditEvents { position } }"


def subscribe(id_: object = "1", query: object = ENDLESS, **more: object) -> str:
    payload = {"query": query, **more}
    return json.dumps({"id": id_, "type": "subscribe", "payload": payload})


def test_every_audit_of_graphql_over_http_passes(served: Api, node: Node) -> None:
    results = node("audit.mjs", f"{served.product.url}/graphql")

    assert len(results) == 61
    assert [each for each in results if each["status"] != "ok"] == []


def test_clients_of_both_protocols_are_served(served: Api, node: Node) -> None:
    served.project()
    query = 'subscription { auditEvents(after: "0") { position event } }'

    told = node("clients.mjs", f"{served.product.url}/graphql", served.product.token, query, "3")

    assert sorted(told) == ["sse", "ws"]
    for protocol, got in told.items():
        assert got["query"] == [{"data": {"viewer": {"subject": "admin"}}}], protocol
        assert "Cannot query field 'nothing'" in json.dumps(got["invalid"]), protocol
        assert "Did you mean" not in json.dumps(got["invalid"]), protocol
        assert got["variables"] == [{"data": {"project": None}}], protocol
        positions = [each["data"]["auditEvents"]["position"] for each in got["stream"]]
        assert positions == ["1", "2", "3"], protocol


CLOSINGS: list[tuple[str, dict[str, Any], object]] = [
    ("no JSON", {"frames": ["{"]}, 4400),
    ("an array", {"frames": ["[]"]}, 4400),
    ("null", {"frames": ["null"]}, 4400),
    ("a number", {"frames": ["3"]}, 4400),
    ("deep nesting", {"frames": ["[" * 50_000]}, 4400),
    ("a huge number", {"frames": ["9" * 5000]}, 4400),
    ("no type", {"frames": ["{}"]}, 4400),
    ("an unknown type", {"frames": [INIT, '{"type":"x"}']}, 4400),
    ("a type of the old protocol", {"frames": [INIT, '{"type":"start","id":"1"}']}, 4400),
    ("a type that is no text", {"frames": [INIT, '{"type":3}']}, 4400),
    ("payload of init null", {"frames": ['{"type":"connection_init","payload":null}']}, 4400),
    ("payload of init a text", {"frames": ['{"type":"connection_init","payload":"x"}']}, 4400),
    ("payload of ping a number", {"frames": [INIT, '{"type":"ping","payload":3}']}, 4400),
    ("no payload", {"frames": [INIT, '{"type":"subscribe","id":"1"}']}, 4400),
    ("payload null", {"frames": [INIT, '{"type":"subscribe","id":"1","payload":null}']}, 4400),
    ("no id", {"frames": [INIT, '{"type":"subscribe","payload":{"query":"{a}"}}']}, 4400),
    ("an empty id", {"frames": [INIT, subscribe("")]}, 4400),
    ("an id that is an object", {"frames": [INIT, subscribe({})]}, 4400),
    ("a query that is no text", {"frames": [INIT, subscribe(query=5)]}, 4400),
    ("variables that are a list", {"frames": [INIT, subscribe(variables=[])]}, 4400),
    ("a name that is a number", {"frames": [INIT, subscribe(operationName=1)]}, 4400),
    ("complete without an id", {"frames": [INIT, '{"type":"complete"}']}, 4400),
    ("subscribe before init", {"frames": [subscribe()]}, 4401),
    ("two inits", {"frames": [INIT, INIT]}, 4429),
    ("an id in use", {"frames": [INIT, subscribe(), subscribe()]}, 4409),
    ("silence", {}, 4408),
    ("a wrong token", {"frames": [INIT.replace("TOKEN", "sbk_wrong")]}, 4403),
    ("too large a frame", {"frames": [" " * 300_000]}, 1009),
    ("another protocol", {"protocol": "graphql-ws"}, "http 403"),
    ("another origin", {"headers": {"origin": "http://evil.example"}}, "http 403"),
]


def test_what_breaks_the_protocol_closes_the_connection(served: Api, node: Node) -> None:
    cases = [case for _, case, _ in CLOSINGS]

    closed = node("closing.mjs", f"{served.product.url}/graphql", served.product.token, given=cases)

    codes = {name: each["code"] for (name, _, _), each in zip(CLOSINGS, closed, strict=True)}
    assert codes == {name: code for name, _, code in CLOSINGS}


@pytest.mark.parametrize("origin", ["https://console.example", "same"])
def test_pages_of_allowed_origins_connect(served: Api, node: Node, origin: str) -> None:
    url = served.product.url
    case = {"headers": {"origin": url if origin == "same" else origin}, "frames": ["{"]}

    [closed] = node("closing.mjs", f"{url}/graphql", served.product.token, given=[case])

    assert closed["code"] == 4400  # it was let in


def test_one_operation_too_many_is_refused_alone(served: Api, node: Node) -> None:
    frames = [INIT, *(subscribe(str(number)) for number in range(101)), "{"]

    [closed] = node(
        "closing.mjs",
        f"{served.product.url}/graphql",
        served.product.token,
        given=[{"frames": frames}],
    )

    messages = [json.loads(text) for text in closed["got"]]
    [error] = [each for each in messages if each["type"] == "error"]
    assert error["id"] == "100"
    assert error["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
