"""What each step of a deployment leaves behind when it fails."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from pathlib import Path

import psycopg_pool
import pytest

from app import embedded, key_ring, secrets
from tests.journeys import product as products
from tests.journeys.client import Api
from tests.journeys.conftest import Launch
from tests.journeys.product import until
from tests.journeys.test_troubled_providers import silent_dsn, silent_port, use_provider
from tests.journeys.test_work import begun, deploy_by_command, in_hand, waiting

__all__ = ["silent_port"]  # a fixture


def test_variables_that_no_process_could_hold_fail_the_deployment(api: Api) -> None:
    """Step `configure`: nothing was handed over, so nothing has to be renewed."""
    project = api.deployable_project()
    deploy_by_command(api, project.test, "exit 0")
    service = api.default(project.test, "DATABASE")
    api.provision(service)
    kept = asyncio.run(swapped(api, service, {"uri": "x" * 70_000}))

    failed = api.deploy(project.test, status="FAILED")

    assert (failed["error"]["step"], failed["error"]["code"]) == (
        "CONFIGURE",
        "ENVIRONMENT_TOO_LARGE",
    )
    assert [each["step"] for each in failed["steps"]] == ["SERVICES", "CONFIGURE"]
    found = api.service(service)
    assert (found["state"], found["inDeployment"], found["operation"]) == (
        "PENDING_ATTACHMENT",
        None,
        None,
    )
    asyncio.run(swapped(api, service, kept))
    assert api.deploy(project.test)["revision"] == 1


@pytest.mark.parametrize(("exit_code", "status"), [(0, "SUCCEEDED"), (1, "FAILED")])
def test_a_command_may_print_anything(api: Api, exit_code: int, status: str) -> None:
    """Step `release`: what the log cannot hold is left out, and the deployment ends."""
    project = api.deployable_project()
    deploy_by_command(api, project.test, f"printf 'a\\000b'; exit {exit_code}")

    ended = api.deploy(project.test, status=status)

    assert ended["output"] == "ab"


def test_an_outcome_that_cannot_be_recorded_does_not_outlive_the_deadline(
    launch: Launch, directory: Path
) -> None:
    """Step `release`: the record of a former version may hold what the log cannot."""
    api = launch(deployment_timeout="6")
    project = api.deployable_project()
    api.provision(api.default(project.test, "DATABASE"))
    deploy_by_command(api, project.test, waiting(directory))
    deployment = api.do("deploy", environment=project.test)["deployment"]["id"]
    until(lambda: begun(directory), "the command runs")
    api.product.kill()
    (directory / "gate").touch()
    (record,) = api.product.directory.rglob("command.servicebook.json")
    told = {"status": "FAILED", "message": "a\0b", "output": "a\0b"}
    record.write_text(json.dumps(json.loads(record.read_text()) | told))

    api.product.start()
    ended = api.end(deployment, status="FAILED")

    assert ended["error"]["code"] == "DEADLINE_EXCEEDED"


async def swapped(api: Api, service: str, credentials: Mapping[str, str]) -> Mapping[str, str]:
    """Put other credentials in place, and return those that were there."""
    owner = uuid.UUID(service.removeprefix("svc_"))
    keys = key_ring.KeyRing.open(api.product.directory / "keyring.json")
    async with psycopg_pool.AsyncConnectionPool(api.product.dsn, min_size=1, open=False) as pool:
        vault = secrets.Vault(pool=pool, keys=keys)
        before = await vault.get(service_instance_id=owner, version=1)
        assert before is not None
        await vault.replace(
            service_instance_id=owner, version=1, credentials={**before, **credentials}
        )
    return before


def test_a_provider_that_hangs_after_the_switch_fails_no_deployment(
    launch: Launch, server: embedded.Address, silent_port: int
) -> None:
    """Step `after`: the old credentials are revoked as soon as the provider is back."""
    api = launch()
    project = api.deployable_project()
    service = api.default(project.test, "DATABASE")
    api.deploy(project.test)
    old = api.dsn(service)
    api.do("rotateCredentials", id=service)
    api.wait(service, secretVersion=2, operation=None)
    until(lambda: not in_hand(api, "revoke_unused"), "the rotation's own revocation is done")
    api.product.kill()
    use_provider(api, silent_dsn(silent_port))
    api.product.start()

    ended = api.deploy(project.test)
    pending = until(lambda: in_hand(api, "revoke_unused"), "the revocation is in hand")

    assert ended["revision"] == 2
    assert len(pending) == 1
    assert service in pending[0]
    assert products.answers(old)
    api.product.kill()
    use_provider(api, products.provider_dsn(server))
    api.product.start()
    until(lambda: not products.answers(old), "the old credentials are refused")
    assert products.answers(api.dsn(service))
    assert api.deployment(ended["id"])["status"] == "SUCCEEDED"
