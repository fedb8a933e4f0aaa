"""S7 and S9: what is removed, what guards against it, and what is left behind."""

import psycopg
import pytest

from app import embedded
from tests.journeys import product as products
from tests.journeys.client import Api
from tests.journeys.conftest import Launch


def test_only_a_detached_and_confirmed_database_is_removed(
    api: Api, server: embedded.Address
) -> None:
    project = api.deployable_project()
    service = api.default(project.test, "DATABASE")
    api.deploy(project.test)

    attached = api.refused("removeService", id=service, confirm="test/DEFAULT_DATABASE")
    api.do("detachService", id=service)
    api.deploy(project.test)
    api.wait(service, operation=None, secretVersion=2)
    dsn = api.dsn(service)
    assert products.answers(dsn)
    unconfirmed = api.refused("removeService", id=service)
    mistyped = api.refused("removeService", id=service, confirm="live/DEFAULT_DATABASE")
    api.do("removeService", id=service, confirm=unconfirmed["expected"])
    api.wait(service, state="REMOVED")

    assert (attached["code"], attached["currentState"]) == ("MUST_DETACH_FIRST", "ATTACHED")
    assert unconfirmed["code"] == mistyped["code"] == "CONFIRMATION_REQUIRED"
    assert unconfirmed["expected"] == "test/DEFAULT_DATABASE"
    assert not products.answers(dsn)
    assert resources(server, service) == []
    entries = api.history(service)
    assert entries[0]["event"] == "ServiceAdded"
    assert {"ServiceProvisioned", "ServiceAttached", "ServiceDetached", "ServiceRemoved"} <= {
        entry["event"] for entry in entries
    }
    assert entries[-1]["state"] == "REMOVED"
    # The prefix and the unit are free again.
    again = api.do("addService", environment=project.test, offering="postgres")["serviceInstance"]
    assert (again["prefix"], again["state"]) == ("DEFAULT", "NEW")
    assert again["id"] != service
    assert api.do("removeService", id=service)["serviceInstance"]["state"] == "REMOVED"
    assert api.refused("attachService", id=service)["code"] == "SERVICE_REMOVED"


def resources(server: embedded.Address, service: str) -> list[str]:
    """List what the provider holds for a service: databases and roles."""
    name = f"svc_{service.removeprefix('svc_')}%"
    with psycopg.connect(server.dsn("postgres")) as connection:
        found = connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %(name)s"
            " UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE %(name)s",
            {"name": name},
        ).fetchall()
    return [str(row[0]) for row in found]


def test_a_service_never_provisioned_goes_at_once(api: Api, server: embedded.Address) -> None:
    project = api.project()
    service = api.default(project.live, "DATABASE")

    gone = api.do("removeService", id=service)["serviceInstance"]

    assert (gone["state"], gone["operation"]) == ("REMOVED", None)
    assert resources(server, service) == []


def test_live_data_is_protected(api: Api) -> None:
    project = api.project()
    service = api.default(project.live, "DATABASE")
    api.provision(service)
    text = api.service(service)["confirmation"]

    refusal = api.refused("removeService", id=service, confirm=text)
    api.do("setDeletionProtection", id=service, protected=False)
    api.remove(service)

    assert refusal["code"] == "DELETION_PROTECTED"
    assert api.state(service) == "REMOVED"


def test_a_removal_can_be_called_off_in_its_grace_period(launch: Launch) -> None:
    api = launch(removal_grace="3600")
    project = api.project()
    service = api.default(project.test, "DATABASE")
    early = api.refused("cancelRemoval", id=service)
    api.provision(service)
    dsn = api.dsn(service)

    asked = api.do("removeService", id=service, confirm="test/DEFAULT_DATABASE")["serviceInstance"]
    refusal = api.refused("attachService", id=service)
    back = api.do("cancelRemoval", id=service)["serviceInstance"]

    assert early["code"] == "NOTHING_TO_CANCEL"
    assert asked["removalRequested"] is True
    assert asked["functional"] is False
    assert asked["removalScheduledFor"] is not None
    assert refusal["code"] == "REMOVAL_IN_PROGRESS"
    assert (back["functional"], back["removalRequested"]) == (True, False)
    assert (asked["state"], back["state"]) == ("DETACHED", "PENDING_ATTACHMENT")
    assert products.answers(dsn)


def test_a_grace_period_ends_with_the_removal(launch: Launch, server: embedded.Address) -> None:
    api = launch(removal_grace="0.5")
    project = api.project()
    service = api.default(project.test, "DATABASE")
    api.provision(service)

    api.remove(service)

    assert resources(server, service) == []
    assert api.refused("cancelRemoval", id=service)["code"] == "NOTHING_TO_CANCEL"


@pytest.mark.parametrize("times", range(3))
def test_what_is_removed_while_it_is_made_leaves_nothing_behind(
    api: Api, server: embedded.Address, times: int
) -> None:
    project = api.project()
    service = api.default(project.test, "DATABASE")
    text = api.service(service)["confirmation"]

    api.do("provisionService", id=service)
    products.until(lambda: times == 0 or len(resources(server, service)) >= times, "it is begun")
    api.do("removeService", id=service, confirm=text)

    api.wait(service, state="REMOVED")
    assert resources(server, service) == []
