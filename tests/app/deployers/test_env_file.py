import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from app import deployers

pytestmark = pytest.mark.anyio

ENVIRONMENT = uuid.uuid4()
VARIABLES = {"DATABASE_URL": "postgresql://app:planted-secret@db/x", "DEFAULT_CACHE_URL": "x y"}
NEW = {"DATABASE_URL": "postgresql://app:another-secret@db/x"}
RESTORED = 217512005123  # the epoch of a log that was restored
SUCCEEDED = deployers.OutcomeStatus.SUCCEEDED
FAILED = deployers.OutcomeStatus.FAILED


def release_of(
    variables: Mapping[str, str] = VARIABLES,
    *,
    revision: int = 1,
    epoch: int = 1,
    deployment_id: uuid.UUID | None = None,
    environment_id: uuid.UUID = ENVIRONMENT,
) -> deployers.Release:
    return deployers.Release(
        deployment_id=deployment_id or uuid.uuid4(),
        environment_id=environment_id,
        environment_name="live",
        revision_number=revision,
        epoch=epoch,
        variables=variables,
    )


def deployer(directory: Path, script: str | None = None, **settings: Any) -> deployers.Deployer:  # noqa: ANN401
    if script is not None:
        settings["command"] = ["sh", "-c", script]
    here = deployers.Surroundings(data_directory=directory)
    return deployers.create(kind="env_file", settings=settings, surroundings=here)


def env_file(directory: Path, environment_id: uuid.UUID = ENVIRONMENT) -> Path:
    return directory / "environments" / str(environment_id) / ".env"


def as_a_shell_reads(path: Path) -> dict[str, str]:
    script = 'set -a; . "$1"; exec "$2" -c "import json, os; print(json.dumps(dict(os.environ)))"'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(path), sys.executable],
        env={},
        capture_output=True,
        check=True,
    )
    read: dict[str, str] = json.loads(done.stdout)
    return read


def eventually(look: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if look():
            return True
        time.sleep(0.02)
    return False


async def soon(look: Callable[[], bool]) -> None:
    assert await asyncio.to_thread(eventually, look)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return ") Z" not in state


async def test_the_variables_stand_in_a_private_file(tmp_path: Path) -> None:
    outcome = await deployer(tmp_path).release(release_of())

    path = env_file(tmp_path)
    assert outcome.status is SUCCEEDED
    assert as_a_shell_reads(path).items() >= VARIABLES.items()
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_shell_reads_every_value_as_it_is(tmp_path: Path) -> None:
    variables = {
        "A": "",
        "B": 'it\'s "quoted" `id` $(id) $HOME ${HOME} \\ \\n #no comment; & | < > * ? ~ !x',
        "C": "two\nlines\n\n",
        "D": "'",
        "E": "'''",
        "F": "\\",
        "G": " \t ",
        "H": "größe 🐘",
        "I": "x='y'\nEVIL='1",
    }

    await deployer(tmp_path).release(release_of(variables))

    read = as_a_shell_reads(env_file(tmp_path))
    assert {name: read[name] for name in variables} == variables
    assert "EVIL" not in read


@pytest.mark.parametrize("variables", [{"A B": "x"}, {"A;id": "x"}, {"": "x"}, {"A": "x\0y"}])
async def test_what_cannot_be_written_fails(tmp_path: Path, variables: dict[str, str]) -> None:
    outcome = await deployer(tmp_path).release(release_of(variables))

    assert outcome.status is FAILED
    assert not env_file(tmp_path).exists()


async def test_the_command_sees_the_variables_and_nothing_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVERS_OWN_SECRET", "planted")
    release = release_of(revision=7)
    script = 'env -0 > seen; tr "\\0" "\\n" < /proc/$$/cmdline > line; pwd > here'

    outcome = await deployer(tmp_path, script).release(release)

    place = env_file(tmp_path).parent
    seen = dict(item.split("=", 1) for item in (place / "seen").read_text().split("\0") if item)
    assert outcome.status is SUCCEEDED
    assert seen.items() >= VARIABLES.items()
    assert seen["SERVICEBOOK_DEPLOYMENT_ID"] == str(release.deployment_id)
    assert seen["SERVICEBOOK_ENVIRONMENT_ID"] == str(ENVIRONMENT)
    assert seen["SERVICEBOOK_REVISION"] == "7"
    assert seen["SERVICEBOOK_ENV_FILE"] == str(env_file(tmp_path))
    assert "SERVERS_OWN_SECRET" not in seen
    assert "planted-secret" not in (place / "line").read_text()
    assert (place / "here").read_text().strip() == str(place)


async def test_the_file_is_in_place_when_the_command_runs(tmp_path: Path) -> None:
    outcome = await deployer(tmp_path, "cp .env copy").release(release_of())

    copy = env_file(tmp_path).with_name("copy")
    assert outcome.status is SUCCEEDED
    assert copy.read_bytes() == env_file(tmp_path).read_bytes()


async def test_a_failing_command_puts_the_previous_file_back(tmp_path: Path) -> None:
    await deployer(tmp_path).release(release_of())
    before = env_file(tmp_path).read_bytes()

    script = "cp .env copy; echo 'cannot start'; exit 3"
    outcome = await deployer(tmp_path, script).release(release_of({"OTHER": "x"}, revision=2))

    assert outcome.status is FAILED
    assert outcome.message == "sh ended with exit code 3: cannot start"
    assert env_file(tmp_path).with_name("copy").read_bytes() != before
    assert env_file(tmp_path).read_bytes() == before
    assert stat.S_IMODE(env_file(tmp_path).stat().st_mode) == 0o600
    assert not env_file(tmp_path).with_name(".env.servicebook-previous").exists()


async def test_a_first_release_that_fails_leaves_no_file(tmp_path: Path) -> None:
    outcome = await deployer(tmp_path, "exit 1").release(release_of())

    assert outcome.status is FAILED
    assert not env_file(tmp_path).exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["/no/such/program"], "/no/such/program cannot be started: No such file or directory"),
        (["/etc"], "/etc cannot be started: Permission denied"),
        (["sh", "-c", "kill -9 $$"], "sh was ended by SIGKILL"),
    ],
)
async def test_a_command_that_does_not_run_is_told(
    tmp_path: Path, command: list[str], message: str
) -> None:
    outcome = await deployer(tmp_path, command=command).release(release_of())

    assert outcome.status is FAILED
    assert outcome.message == message


async def test_the_output_is_kept_without_secrets(tmp_path: Path) -> None:
    script = (
        'echo "using $DATABASE_URL"; echo "planted-secret" >&2;'
        " echo postgresql://other:unknown@db/x; exit 1"
    )

    outcome = await deployer(tmp_path, script).release(release_of())

    kept = env_file(tmp_path).with_name(".env.servicebook.json").read_text()
    for text in (outcome.message, outcome.output, kept):
        assert "using [redacted]" in text
        assert "planted-secret" not in text
        assert "unknown" not in text


async def test_a_secret_at_the_edge_of_the_kept_output_is_not_shown(tmp_path: Path) -> None:
    secret = "".join(f"s{number:03}" for number in range(200))
    filler = "." * 1_000
    for length in (1, 150, 300, 450, 700):
        script = (
            f'for i in $(seq 100); do printf "%s{filler}" "$LONG"; done; printf "{"!" * length}"'
        )
        release = release_of({"LONG": secret}, environment_id=uuid.uuid4())

        outcome = await deployer(tmp_path, script).release(release)

        assert outcome.output.endswith(f"[redacted]{filler}{'!' * length}")
        assert "s1" not in outcome.output


async def test_only_the_end_of_much_output_is_kept(tmp_path: Path) -> None:
    outcome = await deployer(tmp_path, "yes 0123456789 | head -n 200000; echo end").release(
        release_of()
    )

    assert outcome.status is SUCCEEDED
    assert outcome.output.endswith("end\n")
    assert 60_000 < len(outcome.output) <= 65_536


async def test_a_repeat_answers_as_before_without_running_again(tmp_path: Path) -> None:
    for script in ("echo run >> ../runs", "echo run >> ../runs; exit 1"):
        release = release_of(environment_id=uuid.uuid4())
        runs = env_file(tmp_path).parents[1] / "runs"

        first = await deployer(tmp_path, script).release(release)
        again = await deployer(tmp_path, script).release(release)

        assert first == again
        assert runs.read_text() == "run\n"
        runs.unlink()


async def test_the_same_release_at_once_runs_once(tmp_path: Path) -> None:
    release = release_of()
    workers = [deployer(tmp_path, "echo run >> runs; sleep 0.2") for _ in range(4)]

    outcomes = await asyncio.gather(*(worker.release(release) for worker in workers))

    assert {outcome.status for outcome in outcomes} == {SUCCEEDED}
    assert env_file(tmp_path).with_name("runs").read_text() == "run\n"


LINGER = "trap '' TERM; sleep 300 & echo $! >> pids; echo $$ >> pids; wait"


def pids_in(directory: Path) -> list[int]:
    path = env_file(directory).with_name("pids")
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def test_a_command_that_takes_too_long_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.deployers.command._GRACE", 0.2)
    await deployer(tmp_path).release(release_of())
    before = env_file(tmp_path).read_bytes()

    outcome = await deployer(tmp_path, LINGER, timeout=0.5).release(
        release_of({"OTHER": "x"}, revision=2)
    )

    assert outcome.status is FAILED
    assert outcome.message == "sh did not end within 0.5 seconds"
    assert env_file(tmp_path).read_bytes() == before
    pids = pids_in(tmp_path)
    assert len(pids) == 2
    await soon(lambda: not any(map(is_alive, pids)))


async def test_a_release_that_is_cancelled_while_it_starts_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.deployers.command._GRACE", 0.2)
    release = release_of({"OTHER": "x"})

    task = asyncio.create_task(deployer(tmp_path, LINGER).release(release))
    while len(pids_in(tmp_path)) < 2:
        time.sleep(0.1)  # noqa: ASYNC251  the command runs before the loop knows of it
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    await soon(lambda: not any(map(is_alive, pids_in(tmp_path))))


async def test_a_cancelled_release_is_undone_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.deployers.command._GRACE", 0.2)
    await deployer(tmp_path).release(release_of())
    before = env_file(tmp_path).read_bytes()
    release = release_of({"OTHER": "x"}, revision=2)

    task = asyncio.create_task(deployer(tmp_path, LINGER).release(release))
    await soon(lambda: len(pids_in(tmp_path)) == 2)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert env_file(tmp_path).read_bytes() == before
    await soon(lambda: not any(map(is_alive, pids_in(tmp_path))))
    assert await deployer(tmp_path).observe(release) is None
    assert (await deployer(tmp_path, "true").release(release)).status is SUCCEEDED
    assert "OTHER" in env_file(tmp_path).read_text()


async def test_a_release_cancelled_at_any_moment_leaves_one_file_or_the_other(
    tmp_path: Path,
) -> None:
    await deployer(tmp_path).release(release_of())
    before = env_file(tmp_path).read_bytes()

    for step in range(40):
        release = release_of({"OTHER": str(step)}, revision=2)
        task = asyncio.create_task(deployer(tmp_path, "sleep 0.01; exit 1").release(release))
        await asyncio.wait({task}, timeout=step / 1000)
        task.cancel()
        await asyncio.wait({task})

        assert env_file(tmp_path).read_bytes() == before
        names = {file.name for file in env_file(tmp_path).parent.iterdir()}
        assert names <= {".env", ".env.servicebook.json", ".env.servicebook-lock"}


SERVER = """
import asyncio, sys, uuid
from pathlib import Path
from app import deployers
async def main():
    deployer = deployers.create(
        kind="env_file",
        settings={"command": ["sh", "-c", sys.argv[4]]},
        surroundings=deployers.Surroundings(data_directory=Path(sys.argv[1])),
    )
    await deployer.release(deployers.Release(
        deployment_id=uuid.UUID(sys.argv[2]), environment_id=uuid.UUID(sys.argv[3]),
        environment_name="live", revision_number=2, variables={"OTHER": "x"},
    ))
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_release_whose_server_was_killed_is_run_again(tmp_path: Path) -> None:
    await deployer(tmp_path).release(release_of())
    before = env_file(tmp_path).read_bytes()
    release = release_of({"OTHER": "x"}, revision=2)
    server = subprocess.Popen(  # noqa: ASYNC220  it is killed, not awaited
        [
            sys.executable,
            "-c",
            SERVER,
            str(tmp_path),
            str(release.deployment_id),
            str(ENVIRONMENT),
            LINGER,
        ],
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": os.environ["PATH"]},
    )
    record = env_file(tmp_path).with_name(".env.servicebook.json")
    await soon(lambda: len(pids_in(tmp_path)) == 2 and '"started": "' in record.read_text())
    server.send_signal(signal.SIGKILL)
    await asyncio.to_thread(server.wait)
    orphans = pids_in(tmp_path)
    assert all(map(is_alive, orphans))
    assert await deployer(tmp_path).observe(release) is None

    failed = await deployer(tmp_path, "exit 1").release(release)

    assert failed.status is FAILED
    assert env_file(tmp_path).read_bytes() == before
    await soon(lambda: not any(map(is_alive, orphans)))


async def test_how_a_release_ended_can_be_asked(tmp_path: Path) -> None:
    release = release_of()
    asked = deployer(tmp_path, "exit 4")
    before = await asked.observe(release)

    outcome = await asked.release(release)

    assert before is None
    assert await asked.observe(release) == outcome
    assert await asked.observe(release_of()) is None


async def test_a_late_repeat_of_an_older_release_changes_nothing(tmp_path: Path) -> None:
    await deployer(tmp_path).release(release_of(revision=5))
    await deployer(tmp_path, "exit 1").release(release_of(revision=6))
    before = env_file(tmp_path).read_bytes()

    outcome = await deployer(tmp_path).release(release_of({"OLD": "x"}, revision=4))

    assert outcome.status is FAILED
    assert "holds revision 5 already" in outcome.message
    assert env_file(tmp_path).read_bytes() == before


async def test_revisions_of_a_log_that_was_lost_are_not_later_ones(tmp_path: Path) -> None:
    await deployer(tmp_path).release(release_of(revision=4))

    failed = await deployer(tmp_path, "exit 1").release(release_of(revision=2, epoch=RESTORED))
    outcome = await deployer(tmp_path).release(release_of(NEW, revision=2, epoch=RESTORED))
    late = await deployer(tmp_path).release(release_of(revision=1, epoch=RESTORED))

    assert failed.message == "sh ended with exit code 1"
    assert outcome.status is SUCCEEDED
    assert "holds revision 2 already" in late.message
    assert as_a_shell_reads(env_file(tmp_path)).items() >= NEW.items()


async def test_a_record_without_an_epoch_is_of_the_first_one(tmp_path: Path) -> None:
    await deployer(tmp_path).release(release_of(revision=4))
    record = env_file(tmp_path).with_name(".env.servicebook.json")
    document = json.loads(record.read_text())
    del document["effective_epoch"]
    record.write_text(json.dumps(document))

    late = await deployer(tmp_path).release(release_of(revision=2))
    outcome = await deployer(tmp_path).release(release_of(revision=2, epoch=RESTORED))

    assert "holds revision 4 already" in late.message
    assert outcome.status is SUCCEEDED


async def test_a_path_of_ones_own_is_written(tmp_path: Path) -> None:
    path = tmp_path / "app.env"

    outcome = await deployer(tmp_path, path=str(path)).release(release_of())

    assert outcome.status is SUCCEEDED
    assert as_a_shell_reads(path).items() >= VARIABLES.items()
    assert not env_file(tmp_path).exists()


async def test_two_environments_cannot_share_a_path(tmp_path: Path) -> None:
    shared = deployer(tmp_path, path=str(tmp_path / "app.env"))
    await shared.release(release_of())
    before = (tmp_path / "app.env").read_bytes()

    outcome = await shared.release(release_of({"OTHER": "x"}, environment_id=uuid.uuid4()))

    assert outcome.status is FAILED
    assert f"belongs to environment {ENVIRONMENT}" in outcome.message
    assert (tmp_path / "app.env").read_bytes() == before


async def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text("MINE=1\n")

    outcome = await deployer(tmp_path, path=str(path)).release(release_of())

    assert outcome.status is FAILED
    assert "left alone" in outcome.message
    assert path.read_text() == "MINE=1\n"


async def test_a_link_that_appears_later_is_not_followed(tmp_path: Path) -> None:
    path, other = tmp_path / "app.env", tmp_path / "other"
    other.write_text("MINE=1\n")
    late = deployer(tmp_path, path=str(path))
    path.symlink_to(other)

    outcome = await late.release(release_of())

    assert outcome.status is FAILED
    assert other.read_text() == "MINE=1\n"


async def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none" / "app.env"

    outcome = await deployer(tmp_path, path=str(path)).release(release_of())

    assert outcome.status is FAILED
    assert outcome.message == f"there is no directory {tmp_path / 'none'}"


async def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    await deployer(tmp_path).release(release_of())
    record = env_file(tmp_path).with_name(".env.servicebook.json")
    record.write_text("{")

    outcome = await deployer(tmp_path).release(release_of())

    assert outcome.status is FAILED
    assert f"{record} cannot be read" in outcome.message
