"""Work survives those who do it, and whoever operates it sees what is in hand."""

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.journeys.client import Api, Json
from tests.journeys.conftest import Launch, beside
from tests.journeys.product import until
from tests.journeys.test_subscriptions import listening

STEPS = """
  subscription Steps($id: ID!) { deploymentChanges(id: $id) { status step output } }
"""


def deploy_by_command(api: Api, environment: str, script: str, **settings: Json) -> None:
    api.do(
        "configureDeployer",
        environment=environment,
        kind="COMMAND",
        settings={"command": ["/bin/sh", "-c", script], **settings},
    )


@pytest.fixture
def gate(directory: Path) -> Path:
    """A file that a command waits for."""
    return directory / "gate"


def waiting(directory: Path) -> str:
    """Return a script that tells when it begins, waits, and tells when it ends."""
    return (
        f"echo $SERVICEBOOK_DEPLOYMENT_ID >> {directory}/begun;"
        f" while [ ! -e {directory}/gate ]; do sleep 0.05; done; echo released"
    )


def begun(directory: Path) -> list[str]:
    file = directory / "begun"
    return file.read_text().split() if file.exists() else []


def in_hand(api: Api, name: str) -> list[str]:
    listed = api.product.run("tasks").stdout.splitlines()
    return [line for line in listed if line.split()[1] == name]


def ask(api: Api, query: str, *given: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(api.product.dsn) as connection:
        return connection.execute(query, given).fetchall()  # type: ignore[arg-type]  # texts of ours


def test_a_stop_gives_work_back_and_counts_no_failure(launch: Launch, directory: Path) -> None:
    api = launch()
    project = api.deployable_project()
    deploy_by_command(api, project.test, waiting(directory))
    deployment = api.do("deploy", environment=project.test)["deployment"]["id"]
    until(lambda: begun(directory), "the command runs")
    (running,) = in_hand(api, "release")

    code = api.product.stop(signal.SIGTERM)

    (waits,) = in_hand(api, "release")
    assert code == 0
    assert running.split()[0] == "runs"
    assert waits.split()[0] == "waits"
    assert " attempt 1 " in waits
    assert ask(api, "SELECT * FROM work.troubles") == []
    (directory / "gate").touch()
    api.product.start()
    ended = api.end(deployment)
    assert ended["output"] == "released\n"
    assert begun(directory) == [str(uuid.UUID(deployment.removeprefix("dep_")))] * 2
    assert in_hand(api, "release") == []


@pytest.fixture
def two_workers(launch: Launch) -> Iterator[tuple[Api, Api]]:
    first = launch()
    with beside(first) as second:
        yield first, second


def test_a_living_worker_takes_over_what_a_dead_one_left(
    two_workers: tuple[Api, Api], directory: Path
) -> None:
    """Killed in the middle of a release, which then runs once more, not twice at a time."""
    first, second = two_workers
    project = first.deployable_project()
    deploy_by_command(first, project.test, waiting(directory))
    deployment = first.do("deploy", environment=project.test)["deployment"]["id"]
    until(lambda: begun(directory), "the command runs")
    killed, living = (first, second) if is_at_work(first) else (second, first)

    killed.product.kill()
    until(lambda: len(begun(directory)) == 2, "the other one takes over")

    (taken,) = in_hand(living, "release")
    assert taken.split()[0] == "runs"
    (directory / "gate").touch()
    assert living.end(deployment)["output"] == "released\n"
    assert len(begun(directory)) == 2
    assert ask(living, "SELECT * FROM work.troubles") == []


def test_a_release_that_lost_its_lock_ends_and_is_begun_again(api: Api, directory: Path) -> None:
    """Another worker could hold the lock by then."""
    project = api.deployable_project()
    deploy_by_command(api, project.test, f"echo $$ >> {directory}/pids;" + waiting(directory))
    deployment = api.do("deploy", environment=project.test)["deployment"]["id"]
    until(lambda: begun(directory), "the command runs")

    ended = ask(
        api,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE %s",
        "SELECT pg_advisory_lock(hashtextextended(%",
    )
    until(lambda: len(begun(directory)) == 2, "it is begun again")

    first, _ = (directory / "pids").read_text().split()
    assert ended == [(True,)]
    assert not Path(f"/proc/{first}").exists()
    (directory / "gate").touch()
    assert api.end(deployment)["output"] == "released\n"
    assert len(begun(directory)) == 2
    assert ask(api, "SELECT * FROM work.troubles") == []


def is_at_work(api: Api) -> bool:
    """Does this process have a child that is a shell?"""
    children = Path(f"/proc/{api.product.pid}/task/{api.product.pid}/children").read_text()
    return any(Path(f"/proc/{pid}/comm").read_text().strip() == "sh" for pid in children.split())


def test_a_task_that_breaks_is_listed_and_tried_again(api: Api, gate: Path) -> None:
    """What broke is told by its name and place: a message could hold a secret."""
    gate.touch()
    project = api.deployable_project()
    deploy_by_command(api, project.test, "exit 0")
    service = api.default(project.test, "DATABASE")
    api.provision(service)
    owner = uuid.UUID(service.removeprefix("svc_"))
    with psycopg.connect(api.product.dsn) as connection:
        kept = connection.execute(
            "DELETE FROM vault.credentials WHERE service_instance_id = %s"
            " RETURNING service_instance_id, version, key_id, sealed",
            [owner],
        ).fetchall()

    deployment = api.do("deploy", environment=project.test)["deployment"]["id"]
    (line,) = until(lambda: broken(api), "the task breaks")

    assert line.startswith("delayed advance_deployment")
    assert deployment in line
    assert " next " in line
    assert "LookupError in app/application/rollout.py:" in line
    with psycopg.connect(api.product.dsn) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO vault.credentials (service_instance_id, version, key_id, sealed)"
            " VALUES (%s, %s, %s, %s)",
            kept,
        )
    api.end(deployment)
    until(lambda: ask(api, "SELECT * FROM work.troubles") == [], "the trouble is forgotten")


def broken(api: Api) -> list[str]:
    """List those that wait for their next try; the pauses grow until one is seen in them."""
    found = in_hand(api, "advance_deployment")
    return [line for line in found if "Error" in line and line.startswith("delayed")]


def test_a_deployment_is_followed_step_by_step(api: Api, directory: Path) -> None:
    project = api.deployable_project()
    deploy_by_command(api, project.test, waiting(directory))
    deployment = api.do("deploy", environment=project.test)["deployment"]["id"]
    until(lambda: api.deployment(deployment)["step"] == "RELEASE", "it is released")

    with listening(api, STEPS, id=deployment) as stream:
        changes = iter(stream)
        first = next(changes)
        (directory / "gate").touch()
        last = next(change for change in changes if change["status"] != "RUNNING")

    assert first == {"status": "RUNNING", "step": "RELEASE", "output": None}
    assert last == {"status": "SUCCEEDED", "step": "AFTER", "output": "released\n"}


def test_a_command_gets_the_variables_in_its_environment_alone(api: Api, directory: Path) -> None:
    project = api.deployable_project()
    script = (
        f"tr '\\0' '\\n' < /proc/self/cmdline > {directory}/arguments;"
        f' printf %s "$DATABASE_URL" > {directory}/seen; pwd; echo "$DATABASE_URL"; exit "$CODE"'
    )
    deploy_by_command(api, project.test, f"CODE=3; {script}", directory=str(directory))

    failed = api.deploy(project.test, status="FAILED")
    service = api.default(project.test, "DATABASE")
    api.wait(service, operation=None, secretVersion=2)
    deploy_by_command(api, project.test, f"CODE=0; {script}", directory=str(directory))
    succeeded = api.deploy(project.test)

    assert (directory / "seen").read_text() == api.dsn(service)
    assert "postgresql" not in (directory / "arguments").read_text()
    assert failed["error"]["message"].startswith("/bin/sh ended with exit code 3: ")
    assert failed["output"] == succeeded["output"] == f"{directory}\n[redacted]\n"
    assert succeeded["revision"] == 1


@pytest.mark.parametrize("step", ["SERVICES", "RELEASE"])
def test_a_deployment_can_be_cancelled_at_each_step(
    launch: Launch, directory: Path, step: str
) -> None:
    settings = {} if step == "RELEASE" else {"worker_concurrency": "1"}
    api = launch(**settings)
    project = api.deployable_project()
    deploy_by_command(api, project.test, waiting(directory))
    deploy_by_command(api, project.live, waiting(directory))
    service = api.default(project.test, "DATABASE")
    if step == "SERVICES":  # the only worker is busy with another environment
        api.do("deploy", environment=project.live)
        until(lambda: begun(directory), "the worker is busy")
    deployment = api.do("deploy", environment=project.test)["deployment"]["id"]
    until(lambda: api.deployment(deployment)["step"] == step, f"it is at {step}")

    cancelled = api.do("cancelDeployment", id=deployment)["deployment"]

    assert (cancelled["status"], cancelled["step"]) == ("CANCELLED", step)
    assert cancelled["steps"][-1]["endedAt"] is not None
    assert api.revision(project.test) is None
    assert api.service(service)["inDeployment"] is None
    assert any("cancelled" in entry["sentence"] for entry in api.history(service))
    # The next one is carried out, provisioning what is missing.
    (directory / "gate").touch()
    api.deploy(project.test)
    assert api.state(service) == "ATTACHED"
