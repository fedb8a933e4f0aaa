"""The tools of JavaScript's client authors take the schema, and their clients the API."""

import dataclasses
import json
from pathlib import Path

import graphql
import pytest

from app import asgi
from app.graphql import trusted
from tests.clients.workshops import Workshop

EXPECTED = Path(__file__).with_name("example.out").read_text("utf-8")
MANIFESTS = ("relay/documents.json", "generated/persisted-documents.json")


def test_schema_and_operations_follow_the_conventions(javascript: Workshop) -> None:
    javascript.succeed("eslint", "--max-warnings", "0", "schema.graphql", "operations.graphql")


def test_a_schema_against_the_conventions_is_noticed(javascript: Workshop) -> None:
    wrong = dataclasses.replace(javascript, directory=javascript.directory / "wrong")
    wrong.directory.mkdir()
    for name, text in {
        "eslint.config.js": "export { default } from '../eslint.config.js';",
        "operations.graphql": "query All { get_thing { name } }",
        "schema.graphql": (
            "type Query { get_thing: Thing } type Thing { name: String } type Other { id: ID! }"
        ),
    }.items():
        (wrong.directory / name).write_text(text)

    said = wrong.run("eslint", "schema.graphql")

    assert said.returncode == 1, said.stdout
    for rule in ("require-description", "naming-convention", "no-unreachable-types"):
        assert rule in said.stdout


def test_operations_are_valid(javascript: Workshop) -> None:
    javascript.succeed("graphql-inspector", "validate", "operations.graphql", "schema.graphql")


def test_nothing_is_broken_since_the_last_release(javascript: Workshop) -> None:
    javascript.succeed("graphql-inspector", "diff", "released.graphql", "schema.graphql")


def test_a_breaking_change_is_noticed(javascript: Workshop) -> None:
    released = (javascript.directory / "released.graphql").read_text("utf-8")
    broken = javascript.directory / "broken.graphql"
    broken.write_text(released.replace("prefix: String!", "prefix: String"))

    said = javascript.run("graphql-inspector", "diff", "released.graphql", "broken.graphql")

    assert said.returncode == 1, said.stdout
    assert "ServiceInstance.prefix" in said.stdout


@pytest.fixture(scope="session")
def generated(javascript: Workshop) -> Workshop:
    """The workshop after the clients were generated."""
    javascript.succeed("relay-compiler")
    javascript.succeed("graphql-codegen", "--config", "codegen.yml")
    return javascript


def test_generated_client_and_example_are_typed(generated: Workshop) -> None:
    generated.succeed("tsc")


@pytest.mark.parametrize("name", MANIFESTS)
def test_generated_manifests_are_trusted_documents(generated: Workshop, name: str) -> None:
    path = generated.directory / name
    written = json.loads(path.read_text("utf-8"))

    documents = trusted.load(path, is_exclusive=True, schema=graphql.build_schema(asgi.sdl()))

    assert written
    for id_, text in written.items():
        assert documents.text({"documentId": id_}) == text


def test_example_in_typescript(javascript: Workshop, access: dict[str, str]) -> None:
    assert javascript.succeed("node", "example.ts", environment=access) == EXPECTED
