"""A command counts once, however often it is sent, and whoever dies in between."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.journeys import product as products
from tests.journeys.client import Api, Json
from tests.journeys.conftest import Launch
from tests.journeys.product import until
from tests.journeys.test_work import deploy_by_command


def test_a_key_sent_twice_creates_one_project(api: Api) -> None:
    given = {"name": "sent-twice", "idempotencyKey": "create sent-twice"}

    first = api.do("createProject", **given)
    second = api.do("createProject", **given)
    other = api.refused("createProject", name="else", idempotencyKey="create sent-twice")
    elsewhere = api.refused(
        "setSubscription",
        project=first["project"]["id"],
        units=[],
        idempotencyKey="create sent-twice",
    )

    assert (second["project"]["id"], second["position"]) == (
        first["project"]["id"],
        first["position"],
    )
    assert other["code"] == elsewhere["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert [name for name in project_names(api) if name == "sent-twice"] == ["sent-twice"]


def project_names(api: Api) -> list[str]:
    names: list[str] = []
    page = {"endCursor": None, "hasNextPage": True}
    while page["hasNextPage"]:
        answer = api.ask(
            "query Projects($after: String) { projects(first: 100, after: $after) {"
            " nodes { name } pageInfo { endCursor hasNextPage } } }",
            after=page["endCursor"],
        )["projects"]
        names += [node["name"] for node in answer["nodes"]]
        page = answer["pageInfo"]
    return names


def test_racing_repeats_are_one_command(api: Api) -> None:
    project = api.project()
    asked = {"project": project.id, "name": "staging", "idempotencyKey": f"race {project.id}"}

    with ThreadPoolExecutor(8) as racers:
        answers = list(racers.map(lambda _: api.do("createEnvironment", **asked), range(8)))

    assert len({each["environment"]["id"] for each in answers}) == 1
    assert len({each["position"] for each in answers}) == 1


def test_a_repeat_of_what_changed_nothing_changes_nothing_later(api: Api) -> None:
    project = api.project()
    service = api.default(project.test, "DATABASE")
    asked = {"id": service, "idempotencyKey": f"attach {service}"}

    api.do("attachService", **asked)  # it is wanted from the start
    api.do("detachService", id=service)
    api.do("attachService", **asked)

    assert api.service(service)["parked"] is True


def test_a_repeated_reveal_shows_what_was_recorded_or_nothing(api: Api) -> None:
    """R44, R46: newer credentials are for a command of their own."""
    project = api.deployable_project()
    deploy_by_command(api, project.test, "exit 0")
    service = api.default(project.test, "DATABASE")
    api.deploy(project.test)
    asked = {"id": service, "reason": "curious", "idempotencyKey": f"reveal {service}"}
    first = api.do("revealCredentials", **asked)
    api.do("rotateCredentials", id=service)
    api.wait(service, secretVersion=2, operation=None)

    staged = api.do("revealCredentials", **asked)
    api.deploy(project.test)
    until(lambda: "ServiceCredentialsRevoked" in events_of(api, service), "version 1 is revoked")
    revoked = api.refused("revealCredentials", **asked)
    api.do("detachService", id=service)
    api.deploy(project.test)
    api.wait(service, secretVersion=3, operation=None)
    api.remove(service)
    removed = api.refused("revealCredentials", **asked)

    assert (staged["variables"], staged["position"]) == (first["variables"], first["position"])
    assert revoked["code"] == "NOT_READY"
    assert "version 1" in revoked["message"]
    assert "a new idempotency key" in revoked["message"]
    assert removed["code"] == "SERVICE_REMOVED"
    assert events_of(api, service).count("ServiceCredentialsRevealed") == 1


def events_of(api: Api, service: str) -> list[str]:
    return [entry["event"] for entry in api.history(service)]


def test_a_refused_command_can_be_sent_again(api: Api) -> None:
    project = api.project()
    asked = {
        "environment": project.test,
        "offering": "redis",
        "idempotencyKey": f"cache {project.id}",
    }

    refusal = api.refused("addService", **asked)
    api.do("setSubscription", project=project.id, units=[{"offering": "redis", "units": 1}])
    added = api.do("addService", **asked)

    assert refusal["code"] == "NOT_SUBSCRIBED"
    assert added["serviceInstance"]["state"] == "NEW"


def test_what_was_changed_by_somebody_else_is_refused(api: Api) -> None:
    project = api.project()
    service = api.default(project.test, "DATABASE")
    seen = api.service(service)["version"]
    api.do("renamePrefix", id=service, prefix="OTHER", expectedVersion=seen)

    refusal = api.refused("detachService", id=service, expectedVersion=seen)

    assert refusal["code"] == "VERSION_CONFLICT"
    assert refusal["currentVersion"] == seen + 1
    assert api.service(service)["wanted"] is True


def test_nothing_is_lost_or_done_twice_when_processes_are_killed(launch: Launch) -> None:
    api = launch()
    project = api.project()
    is_over = threading.Event()

    def send(sender: int) -> dict[str, Json]:
        acknowledged = {}
        for number in range(1000):
            if is_over.is_set():
                break
            key = f"place-{sender}-{number}"
            acknowledged[key] = persist(api, project=project.id, name=key, idempotencyKey=key)
        return acknowledged

    with ThreadPoolExecutor(3) as senders:
        sent = [senders.submit(send, number) for number in range(3)]
        for _ in range(3):
            is_over.wait(random.uniform(0.2, 0.6))  # noqa: S311  any moment
            api.product.kill()
            api.product.start()
        is_over.set()
        acknowledged = {key: value for each in sent for key, value in each.result().items()}

    assert len(acknowledged) > 3
    places = api.ask(
        "query Places($id: ID!) { project(id: $id) { environments { id name } } }",
        id=project.id,
    )["project"]["environments"]
    found = {each["name"]: each["id"] for each in places if each["name"].startswith("place-")}
    assert len(places) == len(found) + 2
    assert found == {key: each["environment"]["id"] for key, each in acknowledged.items()}
    for key, first in list(acknowledged.items())[-5:]:
        again = api.do("createEnvironment", project=project.id, name=key, idempotencyKey=key)
        assert again["position"] == first["position"]


def persist(api: Api, **asked: str) -> Json:
    """Create an environment; send it again under the same key while nobody answers."""

    def answer() -> Json:
        try:
            return api.do("createEnvironment", **asked)
        except httpx.TransportError:
            return None

    return products.until(answer, "somebody answers")
