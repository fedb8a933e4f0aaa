"""What brokers offer joins the catalogue, and stays in it while they are silent."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.providers.open_service_broker import stock_broker
from tests.journeys.client import Api, Json
from tests.journeys.conftest import Launch
from tests.journeys.product import until

BROKERS = """
[brokers.acme]
url = "http://127.0.0.1:{port}"
username = "{username}"
timeout = 5

[brokers.acme.offerings.{service}]
name = "elasticsearch"
kind = "SEARCH"
credential = "uri"
"""


@pytest.fixture
def broker() -> Iterator[stock_broker.SearchBroker]:
    with stock_broker.running(polls=2) as broker:
        yield broker


def settings(directory: Path, port: int) -> dict[str, str]:
    file = directory / "brokers.toml"
    file.write_text(
        BROKERS.format(port=port, username=stock_broker.USERNAME, service=stock_broker.SERVICE)
    )
    return {
        "brokers": str(file),
        "broker_passwords": json.dumps({"acme": stock_broker.PASSWORD}),
    }


def offering(api: Api, name: str) -> Json:
    found = api.ask(
        "query { catalogue { name configured retired plans { name default parametersSchema } } }"
    )
    return next(each for each in found["catalogue"] if each["name"] == name)


def test_a_service_of_a_broker_is_as_its_catalogue_says(
    launch: Launch, directory: Path, broker: stock_broker.SearchBroker
) -> None:
    api = launch(**settings(directory, broker.port))
    project = api.project()
    offered = offering(api, "elasticsearch")
    assert offered["configured"]
    assert [(plan["name"], plan["default"]) for plan in offered["plans"]] == [
        ("small-free", True),
        ("large", False),
    ]
    assert offered["plans"][0]["parametersSchema"]["properties"]["shards"]["maximum"] == 9

    refused = api.refused(
        "addService", environment=project.test, offering="elasticsearch", parameters={"shards": 10}
    )
    service = api.add(project.test, "elasticsearch", parameters={"shards": 3})
    api.provision(service)

    assert refused["code"] == "PARAMETERS_INVALID"
    (made,) = broker.instances.values()
    assert (made.plan_id, made.parameters) == (stock_broker.SMALL, {"shards": 3})
    api.do("configureService", id=service, plan="large", parameters={"shards": 4})
    api.wait(service, plan="large", operation=None)
    assert (made.plan_id, made.parameters) == (stock_broker.LARGE, {"shards": 4})


def test_a_broker_that_is_down_at_the_start_leaves_what_it_offered_as_it_was(
    launch: Launch, directory: Path
) -> None:
    with stock_broker.running(polls=10_000) as broker:
        api = launch(**settings(directory, broker.port))
        project = api.project()
        begun = api.add(project.test, "elasticsearch")
        service = api.add(project.live, "elasticsearch")
        api.do("provisionService", id=begun)
        until(lambda: broker.instances, "it is begun")
        api.product.kill()
        settings(directory, 1)
        api.product.start()

        offered = offering(api, "elasticsearch")
        refused = api.refused("provisionService", id=service)
        waits = until(lambda: put_off(api, begun), "it is put off")

        assert (offered["configured"], offered["retired"]) == (False, False)
        assert [plan["name"] for plan in offered["plans"]] == ["small-free", "large"]
        assert "no provider" in refused["message"]
        assert api.state(service) == "NEW"
        assert (waits["status"], waits["error"]["code"]) == ("IN_PROGRESS", "PROVIDER_UNAVAILABLE")
        # What was begun goes on when the broker is back.
        api.product.kill()
        (made,) = broker.instances.values()
        made.polls = 1
        settings(directory, broker.port)
        api.product.start()
        api.wait(begun, state="PENDING_ATTACHMENT", operation=None)
        assert len(broker.instances) == 1
    assert stock_broker.PASSWORD not in api.product.output


def put_off(api: Api, service: str) -> Json:
    operation = api.service(service)["operation"]
    return operation if operation["nextAttemptAt"] else None
