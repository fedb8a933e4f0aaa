import dataclasses
import typing
from pathlib import Path

import pytest

from app import settings

HINTS = typing.get_type_hints(settings.Settings, include_extras=True)


def test_nothing_set_gives_the_defaults() -> None:
    assert settings.load({}) == settings.Settings()


def test_values_are_read_by_name_and_type() -> None:
    loaded = settings.load(
        {
            "DATABASE_URL": "postgresql://me@db.example/ledger",
            "SERVICEBOOK_DATA_DIRECTORY": "/srv/servicebook",
            "SERVICEBOOK_PORT": "9000",
            "SERVICEBOOK_REMOVAL_GRACE": "0.5",
            "SERVICEBOOK_INTROSPECTION": "false",
            "SERVICEBOOK_LOG_LEVEL": "debug",
            "SERVICEBOOK_POSTGRES_PROVIDER_ADDRESS": "db.example:5432",
            "PATH": "/usr/bin",
        }
    )

    assert loaded == settings.Settings(
        database_url="postgresql://me@db.example/ledger",
        data_directory=Path("/srv/servicebook"),
        port=9000,
        removal_grace=0.5,
        introspection=False,
        log_level="debug",
        postgres_provider_address="db.example:5432",
    )


def test_every_field_can_be_set() -> None:
    described = settings.describe(settings.Settings())

    for field in dataclasses.fields(settings.Settings):
        name = "DATABASE_URL" if field.name == "database_url" else field.name.upper()
        assert f"{name} = " in described
        assert field.metadata["meaning"] in described


def test_an_empty_value_counts_as_not_set() -> None:
    assert settings.load({"SERVICEBOOK_PORT": "", "DATABASE_URL": ""}) == settings.Settings()


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(settings.SettingsError) as caught:
        settings.load(
            {
                "DATABASE_URL": "mysql://db.example/ledger",
                "SERVICEBOOK_PORT": "70000",
                "SERVICEBOOK_HOTS": "localhost",
                "SERVICEBOOK_OPERATION_TIMEOUT": "soon",
                "SERVICEBOOK_LOG_LEVEL": "loud",
                "SERVICEBOOK_POSTGRES_PROVIDER_ADDRESS": "db.example",
            }
        )

    problems = caught.value.problems
    assert {problem.split(":")[0].split()[0] for problem in problems} == {
        "DATABASE_URL",
        "SERVICEBOOK_PORT",
        "SERVICEBOOK_HOTS",
        "SERVICEBOOK_OPERATION_TIMEOUT",
        "SERVICEBOOK_LOG_LEVEL",
        "SERVICEBOOK_POSTGRES_PROVIDER_ADDRESS",
    }
    assert "SERVICEBOOK_HOTS is not known, SERVICEBOOK_HOST is" in problems
    assert all(problem in str(caught.value) for problem in problems)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_timeout_is_a_time(value: str) -> None:
    with pytest.raises(settings.SettingsError):
        settings.load({"SERVICEBOOK_OPERATION_TIMEOUT": value})


def test_the_description_names_values_defaults_and_units_but_no_password() -> None:
    secret = "postgresql://me:hunter2@db.example/ledger"

    described = settings.describe(
        settings.load(
            {
                "DATABASE_URL": secret,
                "SERVICEBOOK_OPERATION_TIMEOUT": "60",
                "SERVICEBOOK_S3_PROVIDER_SECRET_KEY": "hunter2",
                "SERVICEBOOK_REDIS_PROVIDER_URL": "redis://admin:hunter2@cache.example:6379/0",
                "SERVICEBOOK_RABBITMQ_PROVIDER_URL": "https://admin:hunter2@queue.example/rabbit",
            }
        )
    )

    assert "hunter2" not in described
    assert "SERVICEBOOK_S3_PROVIDER_SECRET_KEY = (hidden)" in described
    assert "SERVICEBOOK_REDIS_PROVIDER_URL = (hidden)" in described
    assert "SERVICEBOOK_RABBITMQ_PROVIDER_URL = (hidden)" in described
    assert "DATABASE_URL = (hidden)" in described
    assert "SERVICEBOOK_OPERATION_TIMEOUT = 60 seconds" in described
    assert "Default: 1800 seconds" in described


def test_files_of_a_local_run_follow_the_data_directory() -> None:
    local = settings.Settings(data_directory=Path("/srv/servicebook"))

    assert local.keyring_file == Path("/srv/servicebook/keyring.json")
    assert local.token_file == Path("/srv/servicebook/token")
    assert local.cluster_directory == Path("/srv/servicebook/postgres")
    assert settings.Settings(keyring=Path("/etc/keys.json")).keyring_file == Path("/etc/keys.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_PROVIDER_URL", "redis://cache.example"),
        ("REDIS_PROVIDER_URL", "rediss://:pass%40word@[::1]:6380/1"),
        ("REDIS_PROVIDER_URL", "redis://admin:word@cache.example:6379?ssl_cert_reqs=none"),
        ("REDIS_PROVIDER_ADDRESS", "cache.example:6379"),
        ("REDIS_PROVIDER_ADDRESS", "rediss://cache.example:6379"),
        ("RABBITMQ_PROVIDER_URL", "http://admin:word@127.0.0.1:15672"),
        ("RABBITMQ_PROVIDER_URL", "https://admin:word@queue.example/rabbit/"),
        ("RABBITMQ_PROVIDER_ADDRESS", "amqps://[::1]:5671"),
    ],
)
def test_addresses_of_brokers_are_understood(name: str, value: str) -> None:
    loaded = settings.load({f"SERVICEBOOK_{name}": value})

    assert getattr(loaded, name.lower()) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_PROVIDER_URL", "http://admin:hunter2@cache.example"),
        ("REDIS_PROVIDER_URL", "redis://admin:hun/ter2@cache.example"),
        ("REDIS_PROVIDER_URL", "admin:hunter2@cache.example:6379"),
        ("REDIS_PROVIDER_ADDRESS", "admin:hunter2@cache.example:6379"),
        ("RABBITMQ_PROVIDER_URL", "amqp://admin:hunter2@queue.example"),
        ("RABBITMQ_PROVIDER_URL", "http://admin:hunter2@queue.example?hunter2"),
        ("RABBITMQ_PROVIDER_ADDRESS", "amqp://queue.example"),
    ],
)
def test_addresses_of_brokers_that_are_wrong_are_not_repeated(name: str, value: str) -> None:
    with pytest.raises(settings.SettingsError, match=f"SERVICEBOOK_{name}: ") as caught:
        settings.load({f"SERVICEBOOK_{name}": value})

    assert "hunter2" not in str(caught.value)


PATTERNED = {
    entry.name: example
    for entry in dataclasses.fields(settings.Settings)
    if "pattern=" in str(HINTS[entry.name])
    for example in [settings._example(HINTS[entry.name])]
}


@pytest.mark.parametrize(("name", "example"), PATTERNED.items())
def test_what_does_not_fit_a_pattern_is_answered_with_an_example(name: str, example: str) -> None:
    variable = f"SERVICEBOOK_{name.upper()}"

    with pytest.raises(settings.SettingsError) as caught:
        settings.load({variable: "no ://, hunter2"})

    assert f"{variable}: expected something like {example}" in caught.value.problems
    assert "regex" not in str(caught.value)
    together = {"SERVICEBOOK_OIDC_AUDIENCE": "api"} if name == "oidc_issuer" else {}
    assert getattr(settings.load({variable: example, **together}), name) in (example, (example,))
