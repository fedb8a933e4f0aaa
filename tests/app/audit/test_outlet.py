"""The outlet to NATS JetStream: every event once, in order, whatever is killed."""

import asyncio
import contextlib
import os
import random
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import nats
import nats.aio.client
import nats.js.errors
import psycopg
import pytest

from app import cancellation
from app.audit import exporting, feed, lines, outlet, sealer
from app.eventlog import connections, epochs, log
from tests import brokers
from tests.app.audit import conftest
from tests.journeys import product

pytestmark = pytest.mark.anyio

STREAM = outlet.Stream(name="audit", prefix="events")
PATIENCE = 60.0
PROJECT = uuid.UUID(int=1)


@pytest.fixture
def jetstream(tmp_path: Path) -> Iterator[brokers.Broker]:
    with brokers.running_nats(tmp_path) as running:
        yield running


@pytest.fixture
async def client(jetstream: brokers.Broker) -> AsyncIterator[nats.aio.client.Client]:
    connected = await outlet.connect(jetstream.nats_url)
    yield connected
    await connected.close()


@pytest.fixture
async def source(ledger: connections.Connections) -> str:
    return lines.source(await ledger.run(sealer.log_id))


@pytest.fixture
def publisher(
    client: nats.aio.client.Client,
    ledger: connections.Connections,
    event_log: log.EventLog,
    source: str,
) -> outlet.Outlet:
    return outlet.Outlet(
        client=client,
        stream=STREAM,
        feed=feed.Feed(pool=ledger, hints=event_log.hints),
        export=exporting.Export(),
        source=source,
    )


async def published(client: nats.aio.client.Client) -> list[bytes]:
    """Return all messages of the stream, in its order."""
    state = (await client.jetstream().stream_info(STREAM.name)).state
    messages = [
        await client.jetstream().get_msg(STREAM.name, seq=number + 1)
        for number in range(state.last_seq)
    ]
    return [message.data or b"" for message in messages]


async def exported(connection: psycopg.AsyncConnection[Any]) -> list[bytes]:
    """Return the lines that an export of all holds."""
    found, after, until = [], 0, await exporting.head(connection)
    while after < until:
        chunk = await exporting.Export().chunk(connection, after=after, until=until)
        found += chunk.text.splitlines()
        after = chunk.position
    return found


async def come_to(client: nats.aio.client.Client, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                info = await client.jetstream().stream_info(STREAM.name)
                if info.state.last_seq >= number:
                    return
            await asyncio.sleep(0.02)


async def test_publishes_what_is_there_and_what_comes(
    client: nats.aio.client.Client,
    publisher: outlet.Outlet,
    event_log: log.EventLog,
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await conftest.record(event_log, count=5)
    await publisher.prepare()
    running = asyncio.create_task(publisher.run(begin_after=None, follows=True))
    await come_to(client, 5)
    await conftest.record(event_log, count=4)
    await come_to(client, 9)
    await cancellation.end(running)

    assert await published(client) == await exported(connection)
    message = await client.jetstream().get_msg(STREAM.name, seq=9)
    assert message.subject is not None
    assert message.subject.startswith("events.MemberAdded.")
    assert message.headers is not None
    assert message.headers["Content-Type"] == "application/cloudevents+json"


async def test_cut_off_at_any_moment_beside_another_it_doubles_and_loses_nothing(
    client: nats.aio.client.Client,
    publisher: outlet.Outlet,
    event_log: log.EventLog,
    connection: psycopg.AsyncConnection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporting, "_BATCH", 7)
    monkeypatch.setattr(outlet, "_PAUSE", 0.01)
    chance = random.Random(3)  # noqa: S311  the same each time
    await publisher.prepare()
    writer = asyncio.create_task(conftest.record(event_log, count=150))
    beside = asyncio.create_task(publisher.run(begin_after=None, follows=True))
    while not writer.done():
        running = asyncio.create_task(publisher.run(begin_after=None, follows=True))
        await asyncio.sleep(chance.uniform(0, 0.1))
        await cancellation.end(running)
    await come_to(client, 150)
    await cancellation.end(beside)

    assert await published(client) == await exported(connection)


async def test_outlives_a_server_that_is_killed(
    tmp_path: Path,
    ledger: connections.Connections,
    event_log: log.EventLog,
    connection: psycopg.AsyncConnection[Any],
    source: str,
) -> None:
    with brokers.running_nats(tmp_path) as jetstream:
        client = await outlet.connect(jetstream.nats_url)
        publisher = outlet.Outlet(
            client=client,
            stream=STREAM,
            feed=feed.Feed(pool=ledger, hints=event_log.hints),
            export=exporting.Export(),
            source=source,
        )
        await publisher.prepare()
        running = asyncio.create_task(publisher.run(begin_after=None, follows=True))
        writer = asyncio.create_task(conftest.record(event_log, count=300))
        await come_to(client, 20)
    for _ in range(3):
        with brokers.running_nats(tmp_path, port=jetstream.port):
            await asyncio.sleep(0.2)
    with brokers.running_nats(tmp_path, port=jetstream.port):
        await writer
        await come_to(client, 300)
        await cancellation.end(running)

        assert await published(client) == await exported(connection)
        await client.close()


async def test_refuses_a_stream_of_others(
    client: nats.aio.client.Client, publisher: outlet.Outlet, event_log: log.EventLog
) -> None:
    await conftest.record(event_log, count=1)
    await publisher.prepare()
    for message in (b"hello", b'{"id":"1","type":"t","subject":"s","position":"1","source":"x"}'):
        await client.jetstream().publish("events.other", message)

        with pytest.raises(outlet.ForeignStreamError, match="Publish to another stream"):
            await publisher.run(begin_after=None, follows=False)


async def test_refuses_a_stream_whose_end_is_gone(
    client: nats.aio.client.Client, publisher: outlet.Outlet, event_log: log.EventLog
) -> None:
    await conftest.record(event_log, count=2)
    await publisher.prepare()
    await publisher.run(begin_after=None, follows=False)
    await client.jetstream().purge_stream(STREAM.name)

    with pytest.raises(outlet.ForeignStreamError, match="cannot be told"):
        await publisher.run(begin_after=None, follows=False)


async def test_goes_no_further_behind_events_that_a_restore_has_lost(
    client: nats.aio.client.Client,
    publisher: outlet.Outlet,
    event_log: log.EventLog,
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await conftest.record(event_log, count=5)
    await publisher.prepare()
    await publisher.run(begin_after=None, follows=False)
    await connection.execute(
        "INSERT INTO ledger.epochs (number, began_after, birthmark)"
        " VALUES (2, 3, ledger.birthmark())"
    )
    await conftest.record(event_log, count=4)

    with pytest.raises(epochs.LogDivergedError) as refused:
        await publisher.run(begin_after=None, follows=True)

    assert refused.value.last_common == "3"
    assert len(await published(client)) == 5


async def test_begins_where_it_is_told(
    client: nats.aio.client.Client,
    publisher: outlet.Outlet,
    event_log: log.EventLog,
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await conftest.record(event_log, count=5)
    await publisher.prepare()
    for _ in range(2):
        await publisher.run(begin_after=epochs.Place.parsed("3"), follows=False)

    assert await published(client) == (await exported(connection))[3:]


async def test_commands_that_are_killed_publish_each_event_once(
    client: nats.aio.client.Client,
    jetstream: brokers.Broker,
    database: str,
    event_log: log.EventLog,
    connection: psycopg.AsyncConnection[Any],
    tmp_path: Path,
) -> None:
    async def write() -> None:
        while True:
            await conftest.record(event_log, count=5, project=PROJECT)
            await asyncio.sleep(0.05)

    writer = asyncio.create_task(write())
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "SERVICEBOOK_DATA_DIRECTORY": str(tmp_path / "data"),
        "SERVICEBOOK_NATS_URL": jetstream.nats_url,
    }
    command = [*product.COMMAND, "events", "publish", "--stream", "audit", "--prefix", "events"]
    published_so_far = 0
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, cwd=product.ROOT, stderr=asyncio.subprocess.DEVNULL
        )
        await come_to(client, published_so_far + 50)
        process.kill()
        await process.wait()
        published_so_far = len(await published(client))
    await cancellation.end(writer)
    last = await asyncio.create_subprocess_exec(
        *command, "--once", env=environment, cwd=product.ROOT
    )

    assert await last.wait() == 0
    assert await published(client) == await exported(connection)


async def test_says_that_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "_TO_CONNECT", 0.5)
    with pytest.raises(outlet.UnreachableError) as refused:
        await outlet.connect("nats://ada:secret@127.0.0.1:1")

    assert "127.0.0.1:1:" in str(refused.value)
    assert "secret" not in str(refused.value)
