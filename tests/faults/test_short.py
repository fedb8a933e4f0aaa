"""The fault runs at a small scale; `make faults` runs them at full size."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import bootstrap, embedded
from tests.faults import contention, crash_storm, ground, process_kills, several
from tests.journeys import product as products


@pytest.fixture
def log_database(database: str) -> str:
    """Connection string of a database with the read models of the product."""
    asyncio.run(bootstrap.prepare(conninfo=database, progress=lambda _: None))
    return database


@pytest.fixture
def product(server: embedded.Address, migrated_template: str) -> Iterator[products.Product]:
    with (
        tempfile.TemporaryDirectory(prefix="servicebook-faults-") as place,
        products.prepared(
            server=server, template=migrated_template, directory=Path(place), settings={}
        ) as made,
    ):
        made.start()
        yield made


def test_crashes_of_the_server_lose_and_double_nothing() -> None:
    with ground.prepared(fsync="off") as place:
        figures = asyncio.run(crash_storm.run(place, restarts=2, seconds=2, writers=16))

    assert ground.is_whole(figures), figures


def test_killed_process_carries_out_each_command_once(product: products.Product) -> None:
    figures = process_kills.run(product, kills=2, clients=4)

    assert (figures["not_exactly_once"], figures["refused"]) == (0, 0), figures


def test_followers_in_several_processes_see_every_event_once(log_database: str) -> None:
    figures = several.run(
        log_database, processes=2, writers=16, followers=4, events=1_600, idle_seconds=0
    )

    assert figures["passed"], figures


def test_many_tasks_on_one_aggregate_get_their_turn(log_database: str) -> None:
    figures = asyncio.run(contention.run(log_database, tasks=64, commands=128))

    assert figures["passed"], figures
