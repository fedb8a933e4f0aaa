import asyncio
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import brokers, catalogue, settings
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
    return brokers.of(settings.Settings(brokers=file))


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
