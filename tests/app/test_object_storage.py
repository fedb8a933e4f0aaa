import dataclasses
from pathlib import Path

import pytest

from app import object_storage, settings

OWN = settings.Settings(
    database_url="postgresql://db.example/ledger",
    s3_provider_endpoint="https://s3.example",
    s3_provider_access_key="key",
    s3_provider_secret_key="secret",
)


def found(chosen: settings.Settings) -> object_storage.ObjectStorage | None:
    with object_storage.available(settings=chosen, progress=lambda _: None) as storage:
        return storage


def test_an_endpoint_of_ones_own_is_used_as_set() -> None:
    storage = found(
        dataclasses.replace(
            OWN, s3_provider_region="eu-central-1", s3_provider_address="https://files.example"
        )
    )

    assert storage is not None
    assert storage.server.endpoint == "https://s3.example"
    assert storage.server.region == "eu-central-1"
    assert storage.address == "https://files.example"
    assert "secret" not in repr(storage.server)


def test_applications_use_the_endpoint_if_no_address_is_set() -> None:
    storage = found(OWN)

    assert storage is not None
    assert storage.address == "https://s3.example"


@pytest.mark.parametrize("missing", ["s3_provider_access_key", "s3_provider_secret_key"])
def test_an_endpoint_without_keys_is_refused(missing: str) -> None:
    with pytest.raises(object_storage.ObjectStorageError, match=missing.upper()):
        found(dataclasses.replace(OWN, **{missing: None}))


def test_there_is_none_beside_a_database_of_ones_own() -> None:
    assert found(settings.Settings(database_url="postgresql://db.example/ledger")) is None


def test_the_embedded_one_can_be_switched_off(tmp_path: Path) -> None:
    chosen = settings.Settings(data_directory=tmp_path / "data", embedded_s3=False)

    assert found(chosen) is None
    assert not chosen.data_directory.exists()
