import uuid
from pathlib import Path
from typing import Any

import pytest

from app import deployers

pytestmark = pytest.mark.anyio

ENVIRONMENT = uuid.uuid4()
SECRET = "postgresql://app:planted-secret@db/x"


def release_of(revision: int = 1, **variables: str) -> deployers.Release:
    return deployers.Release(
        deployment_id=uuid.uuid4(),
        environment_id=ENVIRONMENT,
        environment_name="live",
        revision_number=revision,
        variables=variables or {"DATABASE_URL": SECRET},
    )


def deployer(place: Path, script: str, **settings: Any) -> deployers.Deployer:  # noqa: ANN401
    return deployers.create(
        kind="command",
        settings={"command": ["sh", "-c", script], **settings},
        surroundings=deployers.Surroundings(data_directory=place),
    )


async def test_a_command_runs_once_for_a_deployment(tmp_path: Path) -> None:
    release = release_of()
    counting = deployer(tmp_path, f"echo x >> {tmp_path}/runs; echo $DATABASE_URL; exit 3")

    first = await counting.release(release)
    second = await counting.release(release)

    assert first == second == await counting.observe(release)
    assert (tmp_path / "runs").read_text() == "x\n"
    assert first.status is deployers.OutcomeStatus.FAILED
    assert first.output == "[redacted]\n"
    assert "planted-secret" not in first.message


@pytest.mark.parametrize("exit_code", [0, 1])
async def test_what_cannot_be_stored_is_no_part_of_the_output(
    tmp_path: Path, exit_code: int
) -> None:
    printing = deployer(tmp_path, f"printf 'a\\000b\\355\\240\\200'; exit {exit_code}")

    outcome = await printing.release(release_of())

    assert outcome.output == "ab\ufffd\ufffd\ufffd"
    assert "\0" not in outcome.message


async def test_no_value_is_written_to_a_file(tmp_path: Path) -> None:
    await deployer(tmp_path, "echo $DATABASE_URL").release(release_of())

    files = [file for file in tmp_path.rglob("*") if file.is_file()]  # noqa: ASYNC240  a few files
    assert files
    assert all("planted-secret" not in file.read_text() for file in files)


async def test_a_command_sees_the_variables_and_where_it_is(tmp_path: Path) -> None:
    release = release_of(revision=4)
    names = "$SERVICEBOOK_DEPLOYMENT_ID $SERVICEBOOK_ENVIRONMENT_ID $SERVICEBOOK_REVISION"

    outcome = await deployer(tmp_path, f"echo {names}; pwd", directory="/").release(release)

    assert outcome.output == f"{release.deployment_id} {ENVIRONMENT} 4\n/\n"


async def test_what_no_process_can_be_given_is_told(tmp_path: Path) -> None:
    outcome = await deployer(tmp_path, "exit 0").release(release_of(DATABASE_URL="a\0b"))

    assert outcome.status is deployers.OutcomeStatus.FAILED
    assert outcome.message == "the value of DATABASE_URL contains a zero byte"


async def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing = deployer(tmp_path, "", command=["/does/not/exist"])

    outcome = await missing.release(release_of())

    assert outcome.message == "/does/not/exist cannot be started: No such file or directory"


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (35, "signal 35"), (63, "signal 63")])
async def test_a_command_that_a_signal_ends_is_told(tmp_path: Path, number: int, name: str) -> None:
    outcome = await deployer(tmp_path, f"kill -{number} $$").release(release_of())

    assert outcome.status is deployers.OutcomeStatus.FAILED
    assert outcome.message == f"sh was ended by {name}"


@pytest.mark.parametrize(("seconds", "time"), [(0.1, "0.1 seconds"), (1, "1 second")])
async def test_a_command_that_takes_too_long_is_ended(
    tmp_path: Path, seconds: float, time: str
) -> None:
    outcome = await deployer(tmp_path, "sleep 60", timeout=seconds).release(release_of())

    assert outcome.message == f"sh did not end within {time}"
