"""S4 to S12 with every kind of service: what holds for a database holds for all of them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import embedded
from tests import brokers
from tests.app.providers.open_service_broker import stock_broker
from tests.journeys import kinds, lines, lives
from tests.journeys.client import Api, Json
from tests.journeys.conftest import launching
from tests.journeys.kinds import Kind
from tests.journeys.product import until

NAMES = ["postgres", "s3", "redis", "rabbitmq", "elasticsearch"]


@pytest.fixture(scope="module")
def line() -> Iterator[lines.Lines]:
    with lines.Lines().running() as running:
        yield running


@pytest.fixture(scope="module")
def all_kinds(
    server: embedded.Address,
    storage: embedded.StorageAddress,
    redis_server: brokers.Broker,
    rabbitmq_server: brokers.Broker,
) -> Iterator[dict[str, Kind]]:
    with stock_broker.running(polls=1) as broker:
        made: list[Kind] = [
            kinds.Database(server),
            kinds.Storage(storage),
            kinds.Cache(redis_server),
            kinds.Queue(rabbitmq_server),
            kinds.Search(broker),
        ]
        yield {kind.offering: kind for kind in made}


@pytest.fixture(scope="module")
def settings(
    all_kinds: dict[str, Kind],
    line: lines.Lines,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    place = tmp_path_factory.mktemp("brokers")
    return {
        name: text
        for kind in all_kinds.values()
        for name, text in kind.settings(line, place).items()
    }


@pytest.fixture(scope="module")
def api(
    server: embedded.Address, migrated_template: str, settings: dict[str, str]
) -> Iterator[Api]:
    with launching(server, migrated_template, settings) as api:
        yield api


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest, all_kinds: dict[str, Kind]) -> Kind:
    return all_kinds[request.param]


def test_every_kind_lives_its_whole_life(api: Api, kind: Kind, directory: Path) -> None:
    life = lives.Life(api, kind, directory)
    old = life.add()
    lives.loaded_in_advance(life, old)
    lives.attached_by_one_deployment(life, old)
    new = lives.kept_by_a_failed_deployment(life, old)
    lives.replaced_with_new_credentials(life, old, new)
    lives.detached_and_attached_again(life, old)
    lives.removed_when_it_is_meant(life, old)
    lives.holds(kind, life.given(), "of the new one")
    lives.removed_while_it_is_made(life)
    lives.found_nowhere(life)


def test_who_administers_the_servers_stays_unknown(
    api: Api, redis_server: brokers.Broker, rabbitmq_server: brokers.Broker
) -> None:
    told = api.product.run("settings").stdout + api.product.output + "".join(api.answers)

    assert "SERVICEBOOK_REDIS_PROVIDER_URL = (hidden)" in told
    assert "SERVICEBOOK_RABBITMQ_PROVIDER_URL = (hidden)" in told
    assert "SERVICEBOOK_BROKER_PASSWORDS = (hidden)" in told
    for password in (redis_server.password, rabbitmq_server.password, stock_broker.PASSWORD):
        assert password not in told


def test_a_kind_that_is_not_set_up_is_refused(shared_api: Api) -> None:
    service = shared_api.add(shared_api.project().test, "redis")

    assert shared_api.refused("provisionService", id=service)["code"] == "NOT_READY"


@contextlib.contextmanager
def silence(line: lines.Lines) -> Iterator[None]:
    line.fall_silent()
    try:
        yield
    finally:
        line.speak()


def test_every_kind_survives_a_server_that_hangs(
    server: embedded.Address,
    migrated_template: str,
    settings: dict[str, str],
    all_kinds: dict[str, Kind],
    line: lines.Lines,
) -> None:
    """S8: failed at the deadline, though every process was killed; made late, or asked for again.

    All kinds at once, since most of it is waiting.
    """
    chosen = settings | {"operation_timeout": "2", "removal_grace": "3"}
    with launching(server, migrated_template, chosen) as api:
        environment = lives.empty_environment(api)

        def added(prefix: str) -> dict[str, str]:
            return {name: api.add(environment, name, prefix=prefix) for name in all_kinds}

        alive, killed = added("ALIVE"), added("KILLED")
        with silence(line):
            for service in alive.values():
                api.do("provisionService", id=service)
            assert deadlines_passed(api, alive)
        for service in alive.values():
            api.wait(service, state="PENDING_ATTACHMENT", operation=None)
            assert "late" in str([entry["sentence"] for entry in api.history(service)])

        with silence(line):
            for service in killed.values():
                api.do("provisionService", id=service)
            api.product.kill()
            api.product.start()
            assert deadlines_passed(api, killed)
        api.product.kill()
        api.product.environment["SERVICEBOOK_OPERATION_TIMEOUT"] = "60"
        api.product.start()
        for service in killed.values():
            api.do("provisionService", id=service)
        for name, service in (*alive.items(), *killed.items()):
            api.wait(service, state="PENDING_ATTACHMENT", operation=None)
            until(lambda kind=all_kinds[name], s=service: kind.opens(api.dsn(s)), "it opens")

        taken_back_and_removed(api, all_kinds, killed)


def deadlines_passed(api: Api, services: dict[str, str]) -> bool:
    failures: list[Json] = [api.wait_for_failure(service) for service in services.values()]
    assert {failure["error"]["code"] for failure in failures} == {"DEADLINE_EXCEEDED"}
    assert {api.state(service) for service in services.values()} == {"NEW"}
    return True


def taken_back_and_removed(api: Api, all_kinds: dict[str, Kind], services: dict[str, str]) -> None:
    """Call removals off in their grace period, then let it end."""
    for name, service in services.items():
        dsn, text = api.dsn(service), api.service(service)["confirmation"]
        asked = api.do("removeService", id=service, confirm=text)["serviceInstance"]
        back = api.do("cancelRemoval", id=service)["serviceInstance"]
        assert (asked["functional"], back["functional"]) == (False, True)
        assert all_kinds[name].opens(dsn)
        api.do("removeService", id=service, confirm=text)
    for name, service in services.items():
        api.wait(service, state="REMOVED")
        assert all_kinds[name].traces(service) == []
