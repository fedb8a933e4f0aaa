"""Whatever is sent, the answer is no accident: never INTERNAL, never a status above 499."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import graphql
import httpx
import hypothesis
import pytest
from hypothesis import strategies

from app import asgi
from tests.edge import random_queries
from tests.edge.conftest import missing
from tests.journeys.client import Api

ACCIDENTS = ("INTERNAL", "TIMEOUT", "UNAVAILABLE")
SCHEMATHESIS = Path(__file__).parents[2] / ".venv/schemathesis/bin/schemathesis"
KNOWN = """{ projects { nodes { id environments {
  id serviceInstances { nodes { id } pageInfo { endCursor } } } } } }"""
CREATE = "mutation ($input: CreateProjectInput!) { createProject(input: $input) { __typename } }"
JSON = {"Content-Type": "application/json"}

examples = hypothesis.settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def http(served: Api) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {served.product.token}"}
    with httpx.Client(base_url=served.product.url, headers=headers, timeout=30) as client:
        yield client


def sent(http: httpx.Client, body: object) -> httpx.Response:
    """Send what need not be JSON by the book: NaN, lone surrogates."""
    return http.post("/graphql", content=json.dumps(body), headers=JSON)


def assert_no_accident(response: httpx.Response, what: object) -> None:
    assert response.status_code < 500, (what, response.text)
    told = response.json()
    codes = [error["extensions"]["code"] for error in told.get("errors", ())]
    assert not set(codes) & set(ACCIDENTS), (what, response.text)


@pytest.mark.parametrize("kind", [graphql.OperationType.QUERY, graphql.OperationType.MUTATION])
def test_random_operations(served: Api, http: httpx.Client, kind: graphql.OperationType) -> None:
    served.project()
    known = random_queries.ids_of([served.ask(KNOWN)])
    source = random_queries.Source(schema=asgi._schema()._schema, seed=7, known=known)
    answered = 0

    for _ in range(100):
        text, variables = source.operation(kind)
        response = sent(http, {"query": text, "variables": variables})
        assert_no_accident(response, (text, variables))
        answered += "errors" not in response.json()

    assert answered > 10  # the others were wrong in one of the ways that are told


@examples
@hypothesis.given(body=strategies.binary(max_size=300))
def test_bodies(http: httpx.Client, body: bytes) -> None:
    response = http.post("/graphql", content=body, headers={"Content-Type": "application/json"})

    assert_no_accident(response, body)
    assert response.status_code == 400


json_values = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.floats() | strategies.integers()
    | strategies.text(max_size=20),
    lambda inner: strategies.lists(inner, max_size=3)
    | strategies.dictionaries(strategies.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@examples
@hypothesis.given(
    query=strategies.sampled_from(
        ["{ __typename }", "query ($v: ID!) { node(id: $v) { id } }", "subscription { x }", "{"]
    )
    | json_values,
    variables=strategies.dictionaries(strategies.just("v"), json_values) | json_values,
    name=json_values,
    more=json_values,
)
def test_parameters(
    http: httpx.Client, query: object, variables: object, name: object, more: object
) -> None:
    body = {"query": query, "variables": variables, "operationName": name, "extensions": more}

    response = sent(http, body)

    assert_no_accident(response, body)


@examples
@hypothesis.given(header=strategies.binary(max_size=80))
def test_tokens(http: httpx.Client, header: bytes) -> None:
    value = b"Bearer " + bytes(byte for byte in header if byte >= 32 and byte != 127)

    response = http.post(
        "/graphql",
        json={"query": "{ projects { nodes { id } } }"},
        headers=[(b"Authorization", value.strip())],
    )

    assert_no_accident(response, header)
    assert response.status_code == 401 or "UNAUTHENTICATED" in response.text


@examples
@hypothesis.given(text=strategies.text(max_size=60))
def test_ids_cursors_and_keys(http: httpx.Client, text: str) -> None:
    document = """query ($id: ID!, $after: String) {
      node(id: $id) { id } deployment(id: $id) { id } serviceInstance(id: $id) { id }
      projects(after: $after) { nodes { id } } }"""
    for variables in ({"id": text}, {"id": f"svc_{text}"}, {"id": "x", "after": text}):
        response = sent(http, {"query": document, "variables": variables})
        assert_no_accident(response, variables)
        data = response.json().get("data") or {}
        assert not any(data.get(name) for name in ("node", "deployment", "serviceInstance"))

    given = {"input": {"name": "fuzzed", "idempotencyKey": text}}
    assert_no_accident(sent(http, {"query": CREATE, "variables": given}), given)


def test_schemathesis_finds_nothing(served: Api, tmp_path: Path) -> None:
    if not SCHEMATHESIS.exists():
        missing("schemathesis is not installed: make schemathesis")

    hooks = shutil.copy(Path(__file__).with_name("schemathesis_hooks.py"), tmp_path)
    ran = subprocess.run(
        [
            SCHEMATHESIS, "run", f"{served.product.url}/graphql",
            "--header", f"Authorization: Bearer {served.product.token}",
            "--phases", "fuzzing", "--max-examples", "2", "--seed", "1",
            "--checks", "no_accident",
        ],
        capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": Path(hooks).stem, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
