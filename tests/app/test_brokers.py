import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app import bootstrap, brokers, catalogue, settings
from app import database as databases
from app.application import request
from domain import errors
from tests.app.providers.open_service_broker import odd_broker
from tests.app.providers.open_service_broker.odd_broker import Reply

pytestmark = pytest.mark.anyio

OFFERED = {
    "services": [
        {
            "id": "search-id",
            "name": "search",
            "description": "Finds things.",
            "bindable": True,
            "plans": [{"id": "small-id", "name": "small", "description": "One node."}],
        }
    ]
}


@pytest.fixture
def broker() -> Iterator[odd_broker.OddBroker]:
    with odd_broker.running() as broker:
        yield broker


async def nothing_known(service_instance_id: uuid.UUID) -> None:
    pass


def configured(tmp_path: Path, port: int, **places: int) -> brokers.Brokers:
    """Return brokers of these names at these ports, of which `acme` is one."""
    return brokers.of(settings.Settings(brokers=written(tmp_path, port, **places)))


def written(tmp_path: Path, port: int, **places: int) -> Path:
    """Return the file that names them."""
    file = tmp_path / "brokers.toml"
    file.write_text(
        "".join(
            f"""
            [brokers.{name}]
            url = "http://127.0.0.1:{place}"
            username = "{odd_broker.USERNAME}"
            password_file = "password"
            [brokers.{name}.offerings.search]
            kind = "SEARCH"
            name = "{name}-search"
            """
            for name, place in {"acme": port, **places}.items()
        )
    )
    (tmp_path / "password").write_text(odd_broker.PASSWORD)
    return file


@contextlib.asynccontextmanager
async def started(database: str, directory: Path, file: Path) -> AsyncIterator[bootstrap.Parts]:
    """Start the program with no other providers than brokers."""
    found = databases.Database(ledger_dsn=database, provider_dsn=None, provider_address=None)
    wanted = settings.Settings(data_directory=directory, brokers=file, beta_ended=True)
    async with bootstrap.assembled(settings=wanted, found=found, progress=lambda _: None) as parts:
        yield parts


def asking() -> request.Request:
    return request.Request(actor="ada", name="test")


async def with_search(parts: bootstrap.Parts) -> uuid.UUID:
    """Return an environment of which the next deployment shall provision `acme-search` alone."""
    use_cases = parts.application
    project, _ = await use_cases.projects.create_project(request=asking(), name="shop")
    await use_cases.projects.set_subscription(
        request=asking(), project_id=project, units={"acme-search": 1}
    )
    async with parts.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT s.environment_id, s.id FROM read.service_instances AS s"
            " JOIN read.environments AS e ON e.id = s.environment_id WHERE e.name = 'test'"
        )
        services = await cursor.fetchall()
    for _, service in services:
        await use_cases.services.detach(request=asking(), service_instance_id=service)
    environment: uuid.UUID = services[0][0]
    await use_cases.services.add(
        request=asking(),
        environment_id=environment,
        offering="acme-search",
        plan=None,
        prefix=None,
        parameters={},
    )
    return environment


async def is_configured(parts: bootstrap.Parts) -> bool:
    """Do plans that are looked at count on the broker?"""
    async with parts.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT is_configured FROM read.offerings WHERE name = 'acme-search'"
        )
        [(found,)] = await cursor.fetchall()
    return bool(found)


async def test_without_brokers_the_catalogue_is_as_it_was() -> None:
    ours = catalogue.load()
    none = brokers.of(settings.Settings())

    await none.ask()
    await none.ask_until_all_answered(lambda: pytest.fail("nobody answered"))

    assert none.joined(ours, known={}) == ours
    assert none.providers(nothing_known) == {}


async def test_a_broker_s_offerings_join_the_catalogue(
    tmp_path: Path, broker: odd_broker.OddBroker
) -> None:
    broker.will("GET catalog", Reply(200, OFFERED))
    found = configured(tmp_path, broker.port)

    await found.ask()

    offering = found.joined(catalogue.load(), known={}).offering("acme-search")
    assert offering
    assert list(found.providers(nothing_known)) == [offering.provider]
    await found.aclose()


@pytest.mark.parametrize(
    "odd",
    [Reply(500), Reply(401), Reply(200, b"<html>"), Reply(200, {"services": 7}), Reply(302)],
)
async def test_a_broker_without_a_catalogue_leaves_what_was_known(
    tmp_path: Path,
    broker: odd_broker.OddBroker,
    odd: Reply,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker.will("GET catalog", Reply(200, OFFERED), odd)
    before, now = configured(tmp_path, broker.port), configured(tmp_path, broker.port)
    await before.ask()
    offering = before.joined(catalogue.load(), known={}).offering("acme-search")
    assert offering

    with caplog.at_level(logging.WARNING):
        await now.ask()

    joined = now.joined(catalogue.load(), known={offering.provider: [offering]})
    assert joined.offering("acme-search") == offering
    assert now.providers(nothing_known) == {}
    assert "acme" in caplog.text
    assert odd_broker.PASSWORD not in caplog.text
    await before.aclose()
    await now.aclose()


async def test_a_silent_broker_is_asked_until_it_answers_and_others_are_not(
    tmp_path: Path, broker: odd_broker.OddBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "_PAUSE", 0.01)
    with odd_broker.running() as silent:
        broker.will("GET catalog", Reply(200, OFFERED))
        silent.will("GET catalog", Reply(503), Reply(503), Reply(503), Reply(200, OFFERED))
        found = configured(tmp_path, broker.port, late=silent.port)
        await found.ask()
        told = asyncio.Event()

        async def tell() -> None:
            told.set()

        await asyncio.wait_for(found.ask_until_all_answered(tell), timeout=10)

    assert told.is_set()
    assert len(found.providers(nothing_known)) == 2
    assert len(broker.asked) == 1
    await found.aclose()


async def test_a_service_of_a_broker_that_answers_late_is_deployed_without_a_restart(
    tmp_path: Path,
    directory: Path,
    database: str,
    broker: odd_broker.OddBroker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(brokers, "_PAUSE", 0.01)
    file = written(tmp_path, broker.port)
    broker.will("GET catalog", Reply(200, OFFERED))
    async with started(database, directory, file) as parts:
        environment = await with_search(parts)
    broker.will("GET catalog", *[Reply(503)] * 10_000)

    async with started(database, directory, file) as parts:
        deploy = parts.application.deployments.deploy
        with pytest.raises(errors.PlanRefusedError, match="no provider"):
            await deploy(request=asking(), environment_id=environment, expected_plan=None)
        broker.will("GET catalog", Reply(200, OFFERED))
        async with asyncio.timeout(20):
            while not await is_configured(parts):  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.01)
        deployment, _ = await deploy(
            request=asking(), environment_id=environment, expected_plan=None
        )

        found = await parts.application.rollout.environment_of(deployment_id=deployment)
        assert found == environment


async def test_a_broker_that_hangs_does_not_keep_the_program_from_starting(
    tmp_path: Path, broker: odd_broker.OddBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "_FIRST_ANSWER_WITHIN", 0.1)
    broker.will("GET catalog", Reply(hangs=True))
    found = configured(tmp_path, broker.port)

    async with asyncio.timeout(5):
        await found.ask()

    assert found.providers(nothing_known) == {}
    await found.aclose()


async def test_two_offerings_of_one_name_are_refused(
    tmp_path: Path, broker: odd_broker.OddBroker
) -> None:
    broker.will("GET catalog", *[Reply(200, OFFERED)] * 2)
    configured(tmp_path, broker.port, other=broker.port)
    file = tmp_path / "brokers.toml"
    file.write_text(file.read_text().replace("other-search", "acme-search"))
    found = brokers.of(settings.Settings(brokers=file))

    await found.ask()

    with pytest.raises(catalogue.CatalogueError, match="acme-search"):
        found.joined(catalogue.load(), known={})
    await found.aclose()
