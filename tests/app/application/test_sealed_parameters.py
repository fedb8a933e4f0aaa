"""Secret parameters are kept under seal, and opened as they were given."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg_pool
import pytest

from app import key_ring, secrets
from app.application.request import Request
from app.application.sealed_parameters import SealedParameters, versions

pytestmark = pytest.mark.anyio

SERVICE = uuid.UUID(int=7)
REQUEST = Request(actor="ada", name="configureService")
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = {"type": "string", "writeOnly": True}
NESTED = {"type": "object", "properties": {"password": SECRET}}


@pytest.fixture
async def vault(database: str, directory: Path) -> AsyncIterator[secrets.Vault]:
    async with psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False) as pool:
        keys = key_ring.KeyRing.open(directory / "keyring.json")
        yield secrets.Vault(pool=pool, keys=keys)


@pytest.fixture
def parameters(vault: secrets.Vault) -> SealedParameters:
    return SealedParameters(vault=vault)


async def sealed_by(
    parameters: SealedParameters,
    schema: dict[str, Any],
    given: dict[str, Any],
    *,
    known: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return await parameters.seal(
        request=REQUEST,
        at=MOMENT,
        service_instance_id=SERVICE,
        schema=schema,
        parameters=given,
        known=known or {},
    )


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

    sealed = await sealed_by(parameters, schema, given)

    assert {name for name, value in sealed.items() if value != given[name]} == hidden
    assert sealed == given | {
        name: {"$sealed": version} for version in versions(sealed) for name in hidden
    }
    assert await parameters.open(service_instance_id=SERVICE, parameters=sealed) == given


async def test_a_reference_that_somebody_gives_is_none_of_ours(
    parameters: SealedParameters,
) -> None:
    schema = {"properties": {"login": SECRET, "note": {}}}
    ours = await sealed_by(parameters, schema, {"login": "hunter2"})

    theirs = await sealed_by(
        parameters, schema, {"login": "hunter2", "note": {"$sealed": 1}}, known=ours
    )

    opened = await parameters.open(service_instance_id=SERVICE, parameters=theirs)
    assert theirs["login"] == ours["login"]
    assert opened == {"login": "hunter2", "note": {"$sealed": 1}}


async def test_what_was_sealed_under_the_version_of_its_event_is_opened(
    vault: secrets.Vault, parameters: SealedParameters
) -> None:
    """As logs have it from before versions were drawn by lot."""
    place = uuid.uuid5(SERVICE, "parameters")
    await vault.replace(service_instance_id=place, version=2, credentials={"login": '"hunter2"'})
    known = {"user": "ada", "login": {"$sealed": 2}}

    opened = await parameters.open(service_instance_id=SERVICE, parameters=known)
    again = await sealed_by(
        parameters, {"properties": {"login": SECRET}}, {"login": "hunter2"}, known=known
    )

    assert opened == {"user": "ada", "login": "hunter2"}
    assert again == {"login": {"$sealed": 2}}


async def test_each_time_that_parameters_are_given_they_have_a_place_of_their_own(
    parameters: SealedParameters,
) -> None:
    schema = {"properties": {"login": SECRET}}

    each = [await sealed_by(parameters, schema, {"login": login}) for login in ("one", "two")]

    opened = [
        await parameters.open(service_instance_id=SERVICE, parameters=sealed) for sealed in each
    ]
    assert opened == [{"login": "one"}, {"login": "two"}]
