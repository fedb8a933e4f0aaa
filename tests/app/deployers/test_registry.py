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
        deployers.create(kind="env_file", settings=settings, data_directory=tmp_path)
    except deployers.DeployerSettingsError as error:
        found = [problem.path for problem in error.problems]

    assert found == paths


def test_a_symbolic_link_is_no_path(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")

    with pytest.raises(deployers.DeployerSettingsError, match="symbolic link"):
        deployers.create(kind="env_file", settings={"path": str(link)}, data_directory=tmp_path)


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(deployers.DeployerSettingsError, match="env_file, external"):
        deployers.create(kind="other", settings={}, data_directory=tmp_path)


def test_an_external_deployer_has_no_settings(tmp_path: Path) -> None:
    with pytest.raises(deployers.DeployerSettingsError, match="path"):
        deployers.create(kind="external", settings={"path": "/x"}, data_directory=tmp_path)


@pytest.mark.anyio
async def test_an_external_deployer_waits_for_a_report(tmp_path: Path) -> None:
    external = deployers.create(kind="external", settings={}, data_directory=tmp_path)

    outcome = await external.release(RELEASE)

    assert outcome.status is deployers.OutcomeStatus.PENDING
    assert await external.observe(RELEASE) == outcome


def test_a_release_does_not_show_its_values() -> None:
    assert "planted-secret" not in repr(RELEASE)
