from pathlib import Path

import pytest

from app import brokers, settings
from app.providers.open_service_broker import configuration, credentials
from domain import values

GOOD = """
[brokers.search]
url = "https://broker.example/prefix"
username = "servicebook"
password_file = "secrets/search"

[brokers.search.offerings.elasticsearch]
kind = "SEARCH"
credential = "https://{username}:{password}@{host}:{port}"
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "brokers.toml"
    file.write_text(text)
    return file


def test_a_broker_is_read_with_paths_beside_its_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "search").write_text("from a file\n")

    found = configuration.load(written(tmp_path, GOOD))["search"]

    assert found.url == "https://broker.example/prefix"
    assert found.offerings["elasticsearch"].kind is values.ServiceKind.SEARCH
    assert configuration.password(name="search", broker=found, given={}) == "from a file"


def test_a_password_may_stand_in_the_environment(tmp_path: Path) -> None:
    text = GOOD.replace('password_file = "secrets/search"', "")
    found = configuration.load(written(tmp_path, text))["search"]
    loaded = settings.load({"SERVICEBOOK_BROKER_PASSWORDS": '{"search": "from the environment"}'})

    password = configuration.password(
        name="search", broker=found, given=loaded.broker_passwords or {}
    )

    assert password == "from the environment"
    assert "from the environment" not in settings.describe(loaded)
    with pytest.raises(configuration.ConfigurationError, match="SERVICEBOOK_BROKER_PASSWORDS"):
        configuration.password(name="search", broker=found, given={})


@pytest.mark.parametrize("text", ["hunter2", '["hunter2"]', '{"search": ["hunter2"]}'])
def test_passwords_that_cannot_be_read_are_not_repeated(text: str) -> None:
    with pytest.raises(settings.SettingsError) as caught:
        settings.load({"SERVICEBOOK_BROKER_PASSWORDS": text})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://broker.example/prefix", "https://me:hunter2@broker.example"),
        ("https://broker.example/prefix", "ftp://broker.example"),
        ("https://broker.example/prefix", "https://broker.example:99999"),
        ("https://broker.example/prefix", "https://broker.example?a=b"),
        ('kind = "SEARCH"', 'kind = "FORTUNE"'),
        ('username = "servicebook"', 'username = "servicebook"\npassword = "hunter2"'),
        ('username = "servicebook"', ""),
        ("[brokers.search", "[brokers.'no name'"),
        ("{host}:{port}", "{host }"),
        ("{host}:{port}", "{}"),
        ("[brokers.search]", "[brokers"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_without_secrets(
    tmp_path: Path, before: str, after: str
) -> None:
    file = written(tmp_path, GOOD.replace(before, after))

    with pytest.raises(configuration.ConfigurationError) as caught:
        configuration.load(file)

    assert "hunter2" not in str(caught.value)


def test_files_that_are_missing_are_told(tmp_path: Path) -> None:
    with pytest.raises(configuration.ConfigurationError):
        configuration.load(tmp_path / "none.toml")
    with pytest.raises(configuration.ConfigurationError, match="password of the broker search"):
        brokers.of(settings.Settings(brokers=written(tmp_path, GOOD)))


@pytest.mark.parametrize(
    ("rule", "uri"),
    [
        ("uri", "https://h:9/"),
        ("nested.url", "https://n"),
        ("https://{user}:{password}@{host}:{port}/{nested.index}", "https://u:p%2F%40@h:9/a%20b"),
        ("{port}", "9"),
    ],
)
def test_the_value_of_a_variable_is_found_or_made(rule: str, uri: str) -> None:
    found = {
        "uri": "https://h:9/",
        "user": "u",
        "password": "p/@",
        "host": "h",
        "port": 9,
        "nested": {"url": "https://n", "index": "a b"},
        "nothing": None,
    }

    mapped = credentials.mapped(rule=rule, found=found)

    assert mapped["uri"] == uri
    assert mapped["password"] == "p/@"
    assert mapped["port"] == "9"
    assert "nothing" not in mapped


@pytest.mark.parametrize(
    "rule", ["none", "host.name", "nested", "{nested}", "nothing", "{port}{x}"]
)
def test_credentials_that_lack_the_value_are_told_by_name(rule: str) -> None:
    found = {"host": "hunter2", "port": 9, "nested": {"url": "hunter2"}, "nothing": None}

    with pytest.raises(credentials.CredentialMissingError) as caught:
        credentials.mapped(rule=rule, found=found)

    assert "hunter2" not in str(caught.value)
