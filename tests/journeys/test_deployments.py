"""S5, S6, S10, S11: what a deployment does, and what a failed one does not."""

from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from app import embedded
from tests.app.eventlog import test_epochs
from tests.journeys import product as products
from tests.journeys.client import Api, Json, Project
from tests.journeys.conftest import Launch
from tests.journeys.product import until
from tests.journeys.test_work import in_hand

SUCCEEDING = "exit 0"
FAILING = "echo the migration broke; exit 1"


def release_by(api: Api, environment: str, path: Path, script: str) -> None:
    """Have the environment released into a file, followed by a script."""
    settings = {"path": str(path), "command": ["/bin/sh", "-c", script]}
    api.do("configureDeployer", environment=environment, kind="ENV_FILE", settings=settings)


@pytest.fixture
def env_file(directory: Path) -> Path:
    return directory / "app.env"


@pytest.fixture
def project(api: Api, env_file: Path) -> Project:
    made = api.deployable_project()
    release_by(api, made.test, env_file, SUCCEEDING)
    return made


def planned(plan: Json) -> set[tuple[str, str]]:
    return {(action["kind"], action["instance"]["id"]) for action in plan["actions"]}


def test_what_happens_is_what_was_planned(api: Api, project: Project, env_file: Path) -> None:
    main = api.default(project.test, "DATABASE")
    reports = api.add(project.test, prefix="REPORTS")
    plan = api.plan(project.test)

    ended = api.deploy(project.test, expectedPlan=plan["digest"])

    assert planned(plan) == {
        (kind, service) for kind in ("PROVISION", "ATTACH") for service in (main, reports)
    }
    for service in (main, reports):
        events = [entry["event"] for entry in api.history(service)]
        assert events.count("ServiceProvisioned") == events.count("ServiceAttached") == 1
        found = api.service(service)
        assert (found["state"], found["usableByApplication"]) == ("ATTACHED", True)
        assert found["inDeployment"] is None
    assert plan["variablesRemoved"] == plan["variablesChanged"] == plan["blockers"] == []
    assert sorted(plan["variablesAdded"]) == sorted(api.variables(project.test))
    assert ended["revision"] == api.revision(project.test)["number"] == 1
    assert read(env_file)["REPORTS_DATABASE_DSN"] == api.dsn(reports)
    assert planned(api.plan(project.test)) == {("KEEP", main), ("KEEP", reports)}


def read(env_file: Path) -> dict[str, str]:
    lines = [line.partition("=") for line in env_file.read_text().splitlines() if "=" in line]
    return {name.removeprefix("export "): value.strip("'\"") for name, _, value in lines}


def test_a_stale_plan_is_refused_with_the_difference(api: Api, project: Project) -> None:
    seen = api.plan(project.test)
    reports = api.add(project.test, prefix="REPORTS")

    refusal = api.refused("deploy", environment=project.test, expectedPlan=seen["digest"])

    assert refusal["code"] == "PLAN_STALE"
    assert refusal["removed"] == []
    assert any("REPORTS" in line for line in refusal["added"])
    assert ("ATTACH", reports) in planned(refusal["currentPlan"])
    assert api.environment(project.test)["runningDeployment"] is None


def test_a_plan_is_stale_when_what_it_attaches_is_configured(api: Api, project: Project) -> None:
    service = api.default(project.test, "DATABASE")
    api.provision(service)
    seen = api.plan(project.test)
    api.do("configureService", id=service, plan="large")

    refusal = api.refused("deploy", environment=project.test, expectedPlan=seen["digest"])

    assert refusal["code"] == "PLAN_STALE"
    assert ["plan large" in line for line in refusal["added"]] == [True]
    assert ["plan small" in line for line in refusal["removed"]] == [True]


def test_a_plan_is_stale_when_a_service_is_replaced_by_its_like(api: Api, project: Project) -> None:
    seen = api.plan(project.test)
    api.do("removeService", id=api.default(project.test, "DATABASE"))
    api.do("addService", environment=project.test, offering="postgres")

    refusal = api.refused("deploy", environment=project.test, expectedPlan=seen["digest"])

    assert refusal["code"] == "PLAN_STALE"
    assert sorted(refusal["added"]) == sorted(refusal["removed"])
    assert len(refusal["added"]) == 2


def test_the_plan_of_another_environment_is_told_as_a_whole(api: Api, project: Project) -> None:
    seen = api.plan(project.live)

    refusal = api.refused("deploy", environment=project.test, expectedPlan=seen["digest"])

    assert refusal["code"] == "PLAN_STALE"
    assert len(refusal["added"]) == len(refusal["currentPlan"]["actions"]) == 2
    assert refusal["removed"] == []


def test_a_deployment_that_kept_everything_leaves_the_plan_approved(
    api: Api, project: Project
) -> None:
    api.deploy(project.test)
    seen = api.plan(project.test)
    api.deploy(project.test)

    again = api.deploy(project.test, expectedPlan=seen["digest"])

    assert {kind for kind, _ in planned(seen)} == {"KEEP"}
    assert again["revision"] == 3


def test_a_service_that_nobody_provides_blocks_the_plan(api: Api) -> None:
    project = api.project()
    storage = api.default(project.test, "STORAGE")

    refusal = api.refused("deploy", environment=project.test)

    assert refusal["code"] == "PLAN_BLOCKED"
    assert [note["instance"]["id"] for note in refusal["currentPlan"]["blockers"]] == [storage]
    assert api.service(storage)["version"] == 1


def test_nothing_pending_is_deployed_too(api: Api, project: Project) -> None:
    first = api.deploy(project.test)

    second = api.deploy(project.test)

    assert (first["number"], second["number"], second["revision"]) == (1, 2, 2)


def test_a_detached_database_is_used_until_a_deployment_succeeds(
    api: Api, project: Project, env_file: Path
) -> None:
    service = api.default(project.test, "DATABASE")
    api.deploy(project.test)
    with psycopg.connect(api.dsn(service)) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 7 AS total")
    running, file = api.revision(project.test), env_file.read_bytes()

    # A failing deployment leaves everything as it was.
    api.do("detachService", id=service)
    assert api.state(service) == "PENDING_DETACHMENT"
    assert api.revision(project.test) == running
    plan = api.plan(project.test)
    assert planned(plan) == {("DETACH", service)}
    assert sorted(plan["variablesRemoved"]) == ["DATABASE_URL", "DEFAULT_DATABASE_DSN"]
    assert plan["warnings"]
    release_by(api, project.test, env_file, FAILING)
    failed = api.deploy(project.test, status="FAILED")
    found = api.service(service)
    assert (found["state"], found["usableByApplication"]) == ("PENDING_DETACHMENT", True)
    assert api.revision(project.test) == running
    assert env_file.read_bytes() == file
    assert failed["error"]["step"] == "RELEASE"
    assert "the migration broke" in failed["error"]["message"]
    last = api.history(service)[-1]
    assert "the migration broke" in last["sentence"]
    assert last["deployment"]["id"] == failed["id"]
    assert rows(api, service) == [(7,)]

    # Attaching takes the wish back at once.
    assert api.do("attachService", id=service)["serviceInstance"]["state"] == "ATTACHED"
    assert planned(api.plan(project.test)) == {("KEEP", service)}

    # A good deployment detaches; the data stays.
    release_by(api, project.test, env_file, SUCCEEDING)
    api.do("detachService", id=service)
    api.deploy(project.test)
    assert api.state(service) == "DETACHED"
    assert api.variables(project.test) == {}
    assert "DATABASE_URL" not in env_file.read_text()
    api.wait(service, operation=None, secretVersion=2)
    assert rows(api, service) == [(7,)]

    # And it comes back.
    assert api.do("attachService", id=service)["serviceInstance"]["state"] == "PENDING_ATTACHMENT"
    api.deploy(project.test)
    assert api.state(service) == "ATTACHED"
    assert api.variables(project.test)["DATABASE_URL"] == (service, 2)
    assert rows(api, service) == [(7,)]


def rows(api: Api, service: str) -> list[Json]:
    with psycopg.connect(api.dsn(service)) as connection:
        return connection.execute("SELECT total FROM orders").fetchall()


@pytest.mark.parametrize("kind", ["ENV_FILE", "COMMAND"])
def test_a_restored_environment_is_deployed_from_where_it_is(
    launch: Launch, server: embedded.Address, kind: str
) -> None:
    """What stands on the machine is of a later revision, but of the log that was lost."""
    api = launch()
    project = api.deployable_project()
    command = ["/bin/sh", "-c", SUCCEEDING]
    api.do("configureDeployer", environment=project.test, kind=kind, settings={"command": command})
    api.deploy(project.test)
    name = str(conninfo.conninfo_to_dict(api.product.dsn)["dbname"])
    dump = test_epochs.dumped(server, name)
    lost = [api.deploy(project.test)["revision"] for _ in range(3)]
    api.product.kill()
    test_epochs.restored(server, name, dump)

    api.product.start()
    deployed = [api.deploy(project.test)["revision"] for _ in range(2)]

    assert lost == [2, 3, 4]
    assert deployed == [2, 3]


def test_two_deployments_at_once_are_one(api: Api, project: Project, directory: Path) -> None:
    gate = directory / "gate"
    script = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    release_by(api, project.test, directory / "app.env", script)
    running = api.do("deploy", environment=project.test)["deployment"]
    service = api.default(project.test, "DATABASE")

    refusal = api.refused("deploy", environment=project.test)
    removal = api.refused("removeService", id=service, confirm=api.service(service)["confirmation"])
    elsewhere = api.deploy(project.live)

    assert (refusal["code"], refusal["standing"]["id"]) == (
        "DEPLOYMENT_IN_PROGRESS",
        running["id"],
    )
    assert (removal["code"], removal["standing"]["id"]) == (
        "DEPLOYMENT_IN_PROGRESS",
        running["id"],
    )
    assert elsewhere["status"] == "SUCCEEDED"
    assert api.service(service)["inDeployment"] == {
        "role": "ATTACH",
        "deployment": {"id": running["id"]},
    }
    gate.touch()
    api.end(running["id"])


def test_a_cancelled_deployment_attaches_nothing(
    api: Api, project: Project, env_file: Path
) -> None:
    release_by(api, project.test, env_file, "sleep 60")
    service = api.default(project.test, "DATABASE")
    running = api.do("deploy", environment=project.test)["deployment"]
    api.wait(service, state="PENDING_ATTACHMENT")

    cancelled = api.do("cancelDeployment", id=running["id"])["deployment"]

    assert cancelled["status"] == "CANCELLED"
    assert api.state(service) == "PENDING_ATTACHMENT"
    assert api.revision(project.test) is None
    refusal = api.refused("reportDeployment", id=running["id"], outcome="SUCCEEDED")
    assert refusal["code"] == "NO_DEPLOYMENT_IN_PROGRESS"
    release_by(api, project.test, env_file, SUCCEEDING)
    api.deploy(project.test)
    assert api.state(service) == "ATTACHED"


def test_an_edit_during_a_deployment_counts_for_the_next(
    api: Api, project: Project, directory: Path
) -> None:
    gate = directory / "gate"
    script = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    release_by(api, project.test, directory / "app.env", script)
    service = api.default(project.test, "DATABASE")
    running = api.do("deploy", environment=project.test)["deployment"]
    api.wait(service, state="PENDING_ATTACHMENT")

    assert api.do("detachService", id=service)["serviceInstance"]["state"] == "DETACHED"
    gate.touch()
    api.end(running["id"])

    assert api.state(service) == "PENDING_DETACHMENT"
    assert api.variables(project.test)["DATABASE_URL"] == (service, 1)


def test_a_database_is_replaced_by_renaming_in_one_deployment(
    api: Api, project: Project, env_file: Path
) -> None:
    old = api.default(project.test, "DATABASE")
    api.deploy(project.test)
    before = read(env_file)
    new = api.add(project.test, prefix="NEW")
    api.provision(new)

    api.do("renamePrefix", id=old, prefix="OLD")
    api.do("renamePrefix", id=new, prefix="DEFAULT")

    assert api.state(old) == "ATTACHED"
    assert api.variables(project.test)["DATABASE_URL"] == (old, 1)
    plan = api.plan(project.test)
    assert {("RENAME", old), ("ATTACH", new)} <= planned(plan)
    assert "DATABASE_URL" in plan["variablesChanged"]
    assert read(env_file) == before
    api.deploy(project.test, expectedPlan=plan["digest"])
    after = read(env_file)
    assert after["OLD_DATABASE_DSN"] == before["DATABASE_URL"]
    assert after["DATABASE_URL"] == after["DEFAULT_DATABASE_DSN"] == api.dsn(new)
    assert "NEW_DATABASE_DSN" not in after
    assert api.variables(project.test) == {
        "DATABASE_URL": (new, 1),
        "DEFAULT_DATABASE_DSN": (new, 1),
        "OLD_DATABASE_DSN": (old, 1),
    }


def test_a_release_elsewhere_is_reported(api: Api, project: Project) -> None:
    api.do("configureDeployer", environment=project.test, kind="EXTERNAL", settings={})
    service = api.default(project.test, "DATABASE")
    started = api.do("deploy", environment=project.test)["deployment"]
    api.wait(service, state="PENDING_ATTACHMENT")

    failed = reported(api, started["id"], outcome="FAILED", message="the host is full")
    second = api.do("deploy", environment=project.test)["deployment"]
    succeeded = reported(api, second["id"], outcome="SUCCEEDED", message="all fine, 3 pods")

    assert failed["error"]["message"] == "the host is full"
    assert failed["output"] is None
    assert (succeeded["error"], succeeded["output"]) == (None, "all fine, 3 pods")
    assert "the host is full" in str([entry["sentence"] for entry in api.history(service)])
    assert (succeeded["status"], api.state(service)) == ("SUCCEEDED", "ATTACHED")
    late = api.refused("cancelDeployment", id=second["id"])
    assert late["code"] == "TOO_LATE_TO_CANCEL"


def reported(api: Api, deployment: str, **report: str) -> Json:
    """Report a release, as soon as it is waited for."""
    until(lambda: api.deployment(deployment)["step"] == "RELEASE", "the release is waited for")
    return api.do("reportDeployment", id=deployment, **report)["deployment"]


def test_new_credentials_are_staged_until_a_deployment(
    api: Api, project: Project, env_file: Path
) -> None:
    service = api.default(project.test, "DATABASE")
    api.deploy(project.test)
    old = api.dsn(service)

    api.do("rotateCredentials", id=service)
    api.wait(service, secretVersion=2, operation=None)

    new = api.dsn(service)
    assert old != new
    assert products.answers(old)
    assert products.answers(new)
    assert read(env_file)["DATABASE_URL"] == old
    assert ("ROTATE", service) in planned(api.plan(project.test))
    api.deploy(project.test)
    assert read(env_file)["DATABASE_URL"] == new
    assert api.variables(project.test)["DATABASE_URL"] == (service, 2)
    until_refused(old)
    assert products.answers(new)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_credentials_replaced_during_a_deployment_without_success_are_revoked(
    api: Api, project: Project, end: str
) -> None:
    """R36: the deployment kept the old ones, in case it attached the service with them."""
    api.do("configureDeployer", environment=project.test, kind="EXTERNAL", settings={})
    service = api.default(project.test, "DATABASE")
    api.provision(service)
    old = api.dsn(service)
    running = api.do("deploy", environment=project.test)["deployment"]["id"]
    until(lambda: api.deployment(running)["step"] == "RELEASE", "the release is waited for")
    api.do("rotateCredentials", id=service)
    api.wait(service, secretVersion=2, operation=None)
    until(lambda: not in_hand(api, "revoke_unused"), "the rotation's own revocation is done")
    assert products.answers(old)

    if end == "failed":
        api.do("reportDeployment", id=running, outcome="FAILED")
    else:
        api.do("cancelDeployment", id=running)

    until_refused(old)
    until(lambda: revoked(api, service) == [1], "the history tells of it")
    assert products.answers(api.dsn(service))


def test_a_failed_deployment_leaves_the_application_its_credentials(
    api: Api, project: Project
) -> None:
    """R34, R36: what is unused when a detachment fails is judged by what runs on."""
    api.do("configureDeployer", environment=project.test, kind="EXTERNAL", settings={})
    service = api.default(project.test, "DATABASE")
    api.provision(service)
    attaching = api.do("deploy", environment=project.test)["deployment"]["id"]
    reported(api, attaching, outcome="SUCCEEDED")
    running = api.dsn(service)
    api.do("detachService", id=service)
    detaching = api.do("deploy", environment=project.test)["deployment"]["id"]
    api.do("rotateCredentials", id=service)
    api.wait(service, secretVersion=2, operation=None)

    reported(api, detaching, outcome="FAILED")

    until(lambda: not in_hand(api, "revoke_unused"), "it was looked at")
    assert revoked(api, service) == []
    assert products.answers(running)
    assert products.answers(api.dsn(service))


def revoked(api: Api, service: str) -> list[int]:
    """Return the versions of the credentials that were revoked."""
    return [
        entry["details"]["secret_version"]
        for entry in api.history(service)
        if entry["event"] == "ServiceCredentialsRevoked"
    ]


def until_refused(dsn: str) -> None:
    until(lambda: not products.answers(dsn), "the old credentials are refused")
