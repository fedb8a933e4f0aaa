"""Secret parameters are kept under seal, and opened as they were given."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg_pool
import pytest

from app import key_ring, secrets
from app.application.sealed_parameters import SealedParameters

pytestmark = pytest.mark.anyio

SERVICE = uuid.UUID(int=7)
SECRET = {"type": "string", "writeOnly": True}
NESTED = {"type": "object", "properties": {"password": SECRET}}


@pytest.fixture
async def parameters(database: str, directory: Path) -> AsyncIterator[SealedParameters]:
    async with psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False) as pool:
        keys = key_ring.KeyRing.open(directory / "keyring.json")
        yield SealedParameters(vault=secrets.Vault(pool=pool, keys=keys))


@pytest.mark.parametrize(
    ("schema", "hidden"),
    [
        ({"properties": {"user": {}, "login": SECRET}}, {"login"}),
        ({"properties": {"user": {}, "login": NESTED}}, {"login"}),
        ({"$defs": {"login": SECRET}, "properties": {"user": {}}}, {"user", "login"}),
        ({"properties": {"user": {}, "login": {"type": "string"}}}, set()),
    ],
)
async def test_what_is_sealed_is_opened_as_it_was_given(
    parameters: SealedParameters, schema: dict[str, Any], hidden: set[str]
) -> None:
    given = {"user": "ada", "login": {"password": "hunter2", "rounds": [1, None]}}

    sealed = await parameters.seal(
        service_instance_id=SERVICE, version=1, schema=schema, parameters=given, known={}
    )

    assert sealed == given | {name: {"$sealed": 1} for name in hidden}
    assert await parameters.open(service_instance_id=SERVICE, parameters=sealed) == given


async def test_a_reference_that_somebody_gives_is_none_of_ours(
    parameters: SealedParameters,
) -> None:
    schema = {"properties": {"login": SECRET, "note": {}}}
    ours = await parameters.seal(
        service_instance_id=SERVICE,
        version=1,
        schema=schema,
        parameters={"login": "hunter2"},
        known={},
    )

    theirs = await parameters.seal(
        service_instance_id=SERVICE,
        version=2,
        schema=schema,
        parameters={"login": "hunter2", "note": {"$sealed": 1}},
        known=ours,
    )

    opened = await parameters.open(service_instance_id=SERVICE, parameters=theirs)
    assert theirs["login"] == ours["login"]
    assert opened == {"login": "hunter2", "note": {"$sealed": 1}}
