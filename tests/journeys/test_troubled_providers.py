"""S8: a provider that hangs, fails, or answers late, and processes that die meanwhile."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from app import embedded
from tests.journeys import product as products
from tests.journeys.client import Api
from tests.journeys.conftest import Launch
from tests.journeys.product import until
from tests.journeys.test_deployments import release_by
from tests.journeys.test_removals import resources


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where somebody takes every connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as held:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.enter_context(listener.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def use_provider(api: Api, dsn: str) -> None:
    api.product.environment["SERVICEBOOK_POSTGRES_PROVIDER_DSN"] = dsn


def silent_dsn(port: int) -> str:
    return f"postgresql://provider:hunter2@127.0.0.1:{port}/postgres"


@pytest.mark.parametrize("is_killed", [False, True], ids=["alive", "killed"])
def test_a_provider_that_hangs_fails_at_the_deadline(
    launch: Launch, server: embedded.Address, silent_port: int, *, is_killed: bool
) -> None:
    api = launch(
        operation_timeout="2" if is_killed else "1",
        postgres_provider_dsn=silent_dsn(silent_port),
    )
    project = api.project()
    service = api.default(project.test, "DATABASE")

    started = api.do("provisionService", id=service)["serviceInstance"]
    if is_killed:
        api.product.kill()
        api.product.start()
    failed = api.wait_for_failure(service)

    assert started["state"] == "PROVISIONING"
    assert failed["error"]["code"] == "DEADLINE_EXCEEDED"
    assert api.state(service) == "NEW"
    # With a provider that works, the same instance is provisioned.
    api.product.kill()
    use_provider(api, products.provider_dsn(server))
    api.product.environment["SERVICEBOOK_OPERATION_TIMEOUT"] = "30"
    api.product.start()
    api.provision(service)
    assert api.service(service)["id"] == service
    assert products.answers(api.dsn(service))


def test_parameters_that_were_cleared_during_provisioning_stay_so(
    launch: Launch, silent_port: int
) -> None:
    api = launch(postgres_provider_dsn=silent_dsn(silent_port))
    project = api.project()
    service = api.add(project.test, prefix="X", parameters={"extensions": ["citext"]})
    api.do("provisionService", id=service)

    api.do("configureService", id=service, parameters={})
    api.do("configureService", id=service, plan="large")

    last = api.history(service)[-1]
    assert (last["event"], last["state"]) == ("ServiceConfigured", "PROVISIONING")
    assert (last["details"]["plan"], last["details"]["parameters"]) == ("large", {})


def test_a_deployment_fails_when_its_service_cannot_be_made(
    launch: Launch, silent_port: int
) -> None:
    api = launch(operation_timeout="1", postgres_provider_dsn=silent_dsn(silent_port))
    project = api.deployable_project()
    service = api.default(project.test, "DATABASE")

    failed = api.deploy(project.test, status="FAILED")

    assert failed["error"]["step"] == "SERVICES"
    assert api.revision(project.test) is None
    found = api.service(service)
    assert (found["state"], found["inDeployment"]) == ("NEW", None)
    assert "failed" in api.history(service)[-1]["sentence"]


def test_a_killed_process_finishes_what_it_began(launch: Launch, server: embedded.Address) -> None:
    api = launch()
    project = api.deployable_project()
    service = api.default(project.test, "DATABASE")
    started = api.do("deploy", environment=project.test)["deployment"]

    for _ in range(2):
        api.product.kill()
        api.product.start()

    api.end(started["id"])
    assert api.state(service) == "ATTACHED"
    assert sorted(set(resources(server, service))) == [
        f"svc_{service.removeprefix('svc_')}",
        f"svc_{service.removeprefix('svc_')}_v1",
    ]


def test_a_late_success_is_adopted(launch: Launch, server: embedded.Address) -> None:
    api = launch(operation_timeout="1")
    project = api.project()
    service = api.default(project.test, "DATABASE")

    # The provider waits for a lock on its roles, for longer than it may take.
    with psycopg.connect(server.dsn("postgres")) as blocker:
        blocker.execute("LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE")
        api.do("provisionService", id=service)
        failed = api.wait_for_failure(service)

    api.wait(service, state="PENDING_ATTACHMENT", operation=None)
    assert failed["error"]["code"] == "DEADLINE_EXCEEDED"
    assert products.answers(api.dsn(service))
    assert "late" in str([entry["sentence"] for entry in api.history(service)])


def test_a_removal_that_fails_is_listed_retried_and_at_last_given_up(
    launch: Launch, server: embedded.Address
) -> None:
    api = launch()
    project = api.project()
    service = api.default(project.test, "DATABASE")
    api.provision(service)
    assert api.refused("abandonRemoval", id=service, reason="x")["code"] == "NOTHING_TO_ABANDON"

    api.product.stop()
    use_provider(api, "postgresql://provider:hunter2@127.0.0.1:1/postgres")
    api.product.start()
    api.do("removeService", id=service, confirm="test/DEFAULT_DATABASE")
    failed = api.wait_for_failure(service)
    unfinished = listed(api, "unfinishedRemovals")
    refusal = api.refused("attachService", id=service)
    given_up = api.do("abandonRemoval", id=service, reason="the server burnt down")

    assert failed["kind"] == "REMOVE"
    assert failed["nextAttemptAt"] is not None
    assert unfinished == [service]
    assert refusal["code"] == "REMOVAL_IN_PROGRESS"
    found = given_up["serviceInstance"]
    assert (found["state"], found["abandoned"]) == ("REMOVED", True)
    assert listed(api, "unfinishedRemovals") == []
    assert listed(api, "orphans") == [service]
    assert resources(server, service) != []
    remove_by_hand(server, service)


def listed(api: Api, name: str) -> list[str]:
    return [each["id"] for each in api.ask(f"{{ {name} {{ nodes {{ id }} }} }}")[name]["nodes"]]


def remove_by_hand(server: embedded.Address, service: str) -> None:
    name = f"svc_{service.removeprefix('svc_')}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        for role in (f"{name}_v1", name):
            connection.execute(f"DROP ROLE {role}".encode())


def test_a_failed_removal_succeeds_when_the_provider_is_back(
    launch: Launch, server: embedded.Address
) -> None:
    api = launch()
    project = api.project()
    service = api.default(project.test, "DATABASE")
    api.provision(service)
    api.product.stop()
    use_provider(api, "postgresql://provider:hunter2@127.0.0.1:1/postgres")
    api.product.start()
    api.do("removeService", id=service, confirm="test/DEFAULT_DATABASE")
    api.wait_for_failure(service)

    api.product.stop()
    use_provider(api, products.provider_dsn(server))
    api.product.start()
    api.do("removeService", id=service)

    api.wait(service, state="REMOVED")
    assert resources(server, service) == []
    until(lambda: not listed(api, "unfinishedRemovals"), "nothing is left to remove")


def test_credentials_are_taken_back_when_the_provider_is_back(
    launch: Launch, server: embedded.Address, directory: Path, silent_port: int
) -> None:
    """R36: a renewal that fails is tried again, and shows when."""
    api = launch(operation_timeout="30")
    project = api.deployable_project()
    service = api.default(project.test, "DATABASE")
    release_by(api, project.test, directory / "app.env", "exit 0")
    api.deploy(project.test)
    old = api.dsn(service)
    api.do("detachService", id=service)
    api.product.stop()
    use_provider(api, silent_dsn(silent_port))
    api.product.environment["SERVICEBOOK_OPERATION_TIMEOUT"] = "1"
    api.product.start()

    api.deploy(project.test)
    failed = api.wait_for_failure(service)

    assert (failed["kind"], failed["error"]["code"]) == ("ROTATE", "DEADLINE_EXCEEDED")
    assert failed["nextAttemptAt"] is not None
    assert "it is tried again at" in api.history(service)[-1]["sentence"]
    assert products.answers(old)
    api.product.kill()
    use_provider(api, products.provider_dsn(server))
    api.product.environment["SERVICEBOOK_OPERATION_TIMEOUT"] = "30"
    api.product.start()
    api.wait(service, state="DETACHED", secretVersion=2, operation=None)
    until(lambda: not products.answers(old), "the old credentials are refused")
    assert products.answers(api.dsn(service))


@pytest.mark.parametrize("is_killed", [False, True], ids=["alive", "killed"])
def test_a_release_that_hangs_fails_at_the_deadline(
    launch: Launch, directory: Path, *, is_killed: bool
) -> None:
    api = launch(deployment_timeout="3")
    project = api.deployable_project()
    service = api.default(project.test, "DATABASE")
    release_by(api, project.test, directory / "app.env", "exit 0")
    api.deploy(project.test)
    running, file = api.revision(project.test), (directory / "app.env").read_bytes()
    api.do("detachService", id=service)
    release_by(api, project.test, directory / "app.env", "sleep 600")

    started = api.do("deploy", environment=project.test)["deployment"]
    until(lambda: api.deployment(started["id"])["step"] == "RELEASE", "the release began")
    if is_killed:
        api.product.kill()
        api.product.start()
    failed = api.end(started["id"], status="FAILED")

    assert (failed["error"]["step"], failed["error"]["code"]) == ("RELEASE", "DEADLINE_EXCEEDED")
    assert api.revision(project.test) == running
    assert api.state(service) == "PENDING_DETACHMENT"
    until(lambda: (directory / "app.env").read_bytes() == file, "the file is put back")
    release_by(api, project.test, directory / "app.env", "exit 0")
    api.deploy(project.test)
    assert api.state(service) == "DETACHED"
