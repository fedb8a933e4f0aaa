"""S4: a database is made, seen from outside and filled before any deployment."""

import psycopg

from tests.journeys.client import Api


def test_a_provisioned_database_takes_data_before_it_is_attached(api: Api) -> None:
    project = api.deployable_project()
    api.deploy(project.test)
    before = api.revision(project.test)
    service = api.add(project.test, prefix="ARCHIVE")

    api.provision(service)
    with psycopg.connect(api.dsn(service)) as connection:
        connection.execute("CREATE TABLE letters (body text)")
        connection.execute("INSERT INTO letters VALUES ('dear reader')")

    found = api.service(service)
    assert (found["state"], found["functional"]) == ("PENDING_ATTACHMENT", True)
    assert found["usableByApplication"] is False
    assert api.revision(project.test) == before
    with psycopg.connect(api.dsn(service)) as connection:
        assert connection.execute("SELECT body FROM letters").fetchall() == [("dear reader",)]


def test_nobody_sees_credentials_unrecorded(api: Api) -> None:
    project = api.project()
    service = api.default(project.test, "DATABASE")
    early = api.refused("revealCredentials", id=service, reason="curious")
    api.provision(service)

    silent = api.refused("revealCredentials", id=service, reason="  ")
    shown = api.do("revealCredentials", id=service, reason="to load the archive")

    assert early["code"] == "NOT_READY"
    assert silent["code"] == "INVALID_INPUT"
    assert [each["name"] for each in shown["variables"]] == ["DEFAULT_DATABASE_DSN", "DATABASE_URL"]
    last = api.history(service)[-1]
    assert last["position"] == shown["position"]
    assert last["actor"] == "admin"
    assert "to load the archive" in last["sentence"]


def test_a_repeated_provisioning_is_the_same_one(api: Api) -> None:
    project = api.project()
    service = api.default(project.test, "DATABASE")
    api.provision(service)

    again = api.do("provisionService", id=service)["serviceInstance"]

    assert again["state"] == "PENDING_ATTACHMENT"
    started = [e for e in api.history(service) if e["event"] == "ServiceProvisioningStarted"]
    assert len(started) == 1


def test_another_plan_takes_effect_on_a_ready_database(api: Api) -> None:
    project = api.project()
    service = api.default(project.test, "DATABASE")
    api.provision(service)

    api.do("configureService", id=service, plan="large", parameters={"extensions": ["pg_trgm"]})

    found = api.wait(service, plan="large", operation=None)
    assert found["parameters"] == {"extensions": ["pg_trgm"]}
    with psycopg.connect(api.dsn(service)) as connection:
        names = connection.execute("SELECT extname FROM pg_extension").fetchall()
    assert ("pg_trgm",) in names
