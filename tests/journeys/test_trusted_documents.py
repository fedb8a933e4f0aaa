"""Whoever runs the API may allow only the operations that were looked at."""

import hashlib
import json
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.journeys.client import Api, Json
from tests.journeys.conftest import Launch

CREATE = """mutation Create($input: CreateProjectInput!) {
  createProject(input: $input) { __typename ... on CreateProjectSuccess { project { name } } }
}"""
CREATE_ID = hashlib.sha256(CREATE.encode()).hexdigest()


def written(directory: Path, documents: dict[str, str]) -> str:
    path = directory / "documents.json"
    path.write_text(json.dumps(documents))
    return str(path)


def send(api: Api, **body: Json) -> httpx.Response:
    return httpx.post(
        f"{api.product.url}/graphql",
        json=body,
        headers={"Authorization": f"Bearer {api.product.token}"},
        timeout=30,
    )


def test_only_operations_of_the_manifest_are_carried_out(launch: Launch, directory: Path) -> None:
    path = written(directory, {CREATE_ID: CREATE})
    api = launch(trusted_documents=path, only_trusted_documents="true")
    variables = {"input": {"name": "trusted"}}

    trusted = send(api, documentId=CREATE_ID, variables=variables)
    other = send(api, query="{ projects { nodes { name } } }")

    assert trusted.json()["data"]["createProject"]["project"] == {"name": "trusted"}
    assert other.json()["errors"][0]["extensions"] == {"code": "FORBIDDEN"}


def test_a_wrong_manifest_keeps_the_program_from_starting(launch: Launch, directory: Path) -> None:
    api = launch()
    api.product.environment["SERVICEBOOK_TRUSTED_DOCUMENTS"] = written(directory, {"0": CREATE})

    with pytest.raises(subprocess.CalledProcessError) as failed:
        api.product.run("serve", "--port", "0")

    assert CREATE_ID in failed.value.stderr
    assert "Traceback" not in failed.value.stderr
