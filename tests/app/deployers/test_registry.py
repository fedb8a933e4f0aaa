import uuid
from pathlib import Path

import pytest

from app import deployers

RELEASE = deployers.Release(
    deployment_id=uuid.uuid4(),
    environment_id=uuid.uuid4(),
    environment_name="live",
    revision_number=3,
    variables={"DATABASE_URL": "planted-secret"},
)


def here(directory: Path) -> deployers.Surroundings:
    return deployers.Surroundings(data_directory=directory)


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        ({}, []),
        ({"path": None, "command": None}, []),
        ({"path": "/srv/app/.env", "command": ["restart", ""], "timeout": 1.5}, []),
        ({"path": ".env"}, ["path"]),
        ({"path": "/srv/../etc/passwd"}, ["path"]),
        ({"path": "/srv//app"}, ["path"]),
        ({"path": "/srv/app/"}, ["path"]),
        ({"path": "/srv/a\nb"}, ["path"]),
        ({"path": "/srv/a\0b"}, ["path"]),
        ({"path": 1}, ["path"]),
        ({"path": ""}, ["path"]),
        ({"path": "/"}, ["path"]),
        ({"path": "/tmp"}, ["path"]),  # noqa: S108  a directory that is there
        ({"path": "/dev/null"}, ["path"]),
        ({"command": "restart now"}, ["command"]),
        ({"command": []}, ["command"]),
        ({"command": [""]}, ["command.0"]),
        ({"command": ["a", 1, "b\0"]}, ["command.1", "command.2"]),
        ({"timeout": 0}, ["timeout"]),
        ({"timeout": -1}, ["timeout"]),
        ({"timeout": True}, ["timeout"]),
        ({"timeout": "60"}, ["timeout"]),
        ({"timeout": float("nan")}, ["timeout"]),
        ({"timeout": 1_000_000}, ["timeout"]),
        ({"timeout": None}, ["timeout"]),
        ({"shell": True, "path": ".env", "timeout": 0}, ["shell", "path", "timeout"]),
    ],
    ids=repr,
)
def test_settings_are_refused_with_every_problem(
    tmp_path: Path, settings: dict[str, object], paths: list[str]
) -> None:
    found: list[str] = []

    try:
        deployers.create(
            kind="env_file",
            settings=settings,
            surroundings=here(tmp_path),
        )
    except deployers.DeployerSettingsError as error:
        found = [problem.path for problem in error.problems]

    assert found == paths


def test_a_symbolic_link_is_no_path(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")

    with pytest.raises(deployers.DeployerSettingsError, match="symbolic link"):
        deployers.create(
            kind="env_file",
            settings={"path": str(link)},
            surroundings=here(tmp_path),
        )


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        deployers.DeployerSettingsError, match="env_file, command, webhook, external"
    ):
        deployers.create(kind="other", settings={}, surroundings=here(tmp_path))


def test_an_external_deployer_has_no_settings(tmp_path: Path) -> None:
    with pytest.raises(deployers.DeployerSettingsError, match="path"):
        deployers.create(
            kind="external",
            settings={"path": "/x"},
            surroundings=here(tmp_path),
        )


@pytest.mark.anyio
async def test_an_external_deployer_waits_for_a_report(tmp_path: Path) -> None:
    external = deployers.create(kind="external", settings={}, surroundings=here(tmp_path))

    outcome = await external.release(RELEASE)

    assert outcome.status is deployers.OutcomeStatus.PENDING
    assert await external.observe(RELEASE) == outcome


def test_a_release_does_not_show_its_values() -> None:
    assert "planted-secret" not in repr(RELEASE)


KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def problems_of(kind: str, settings: dict[str, object], **secrets: str) -> list[str]:
    try:
        deployers.check(kind=kind, settings=settings, secrets=secrets)
    except deployers.DeployerSettingsError as error:
        return [problem.path for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        ({"url": "https://hooks.example/deploy?env=live"}, []),
        ({"url": "http://10.0.0.7:8080/", "timeout": 120}, []),
        ({"url": "http://[::1]:80/x"}, []),
        ({}, ["url"]),
        ({"url": ""}, ["url"]),
        ({"url": "ftp://x/"}, ["url"]),
        ({"url": "http:///x"}, ["url"]),
        ({"url": "http://x:99999/"}, ["url"]),
        ({"url": "http://[::1/"}, ["url"]),
        ({"url": "http://a:b@x/"}, ["url"]),
        ({"url": "http://x/#part"}, ["url"]),
        ({"url": "http://x/\r\nHost: y"}, ["url"]),
        ({"url": "http://x/", "timeout": 121, "retries": 1}, ["retries", "timeout"]),
    ],
    ids=repr,
)
def test_a_receiver_needs_an_address(settings: dict[str, object], paths: list[str]) -> None:
    assert problems_of("webhook", settings, signingKey=KEY) == paths


def test_a_receiver_needs_a_key() -> None:
    assert problems_of("webhook", {"url": "http://x/"}) == ["signingKey"]
    assert problems_of("webhook", {"url": "http://x/"}, signingKey="planted") == ["signingKey"]
    assert problems_of("webhook", {"url": "http://x/"}, signingKey=KEY, other="x") == ["other"]


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        ({"command": ["deploy"]}, []),
        ({"command": ["deploy", "--all"], "directory": "/srv", "timeout": 5}, []),
        ({}, ["command"]),
        ({"command": "deploy"}, ["command"]),
        ({"command": ["deploy"], "directory": "srv"}, ["directory"]),
        ({"command": ["deploy"], "path": "/srv/.env"}, ["path"]),
    ],
    ids=repr,
)
def test_a_command_needs_a_program(settings: dict[str, object], paths: list[str]) -> None:
    assert problems_of("command", settings) == paths


def test_secrets_that_nobody_reads_are_refused() -> None:
    assert problems_of("external", {}, signingKey=KEY) == ["signingKey"]
