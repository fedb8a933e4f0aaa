"""Lines, leaves and the tree over a real log."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from psycopg import sql

from app.audit import exporting, lines, proofs, sealer, witnesses
from app.audit.verification import notes, trees
from app.eventlog import command, connections, draft, log
from tests.app.audit import conftest, naive
from tests.app.eventlog import gate

pytestmark = pytest.mark.anyio

Connection = psycopg.AsyncConnection[Any]
PATIENCE = 20.0


async def exported(connection: Connection) -> list[bytes]:
    until = await exporting.head(connection)
    chunk = await exporting.Export().chunk(connection, after=0, until=until)
    return chunk.text.splitlines(keepends=True)


async def test_a_line_is_canonical_json_of_all_that_was_recorded(
    event_log: log.EventLog, connection: Connection
) -> None:
    await conftest.record(event_log, count=20)

    read = [line.removesuffix(b"\n").decode() for line in await exported(connection)]

    recorded = await event_log.read(after=0, limit=100)
    assert len(read) == len(recorded) == 20
    for text, each in zip(read, recorded, strict=True):
        line = json.loads(text)
        canonical = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert text == canonical
        assert line["position"] == str(each.position)
        assert line["type"] == each.event.TOPIC
        assert line["subject"] == str(each.event.originator_id)
        assert line["subjectversion"] == each.event.originator_version
        assert line["actor"] == each.actor
        assert line["id"] == str(each.event_id)
        assert line["commandid"] == str(each.command_id)
        assert line["correlationid"] == str(each.correlation_id)
        assert line.get("causationid") == (each.causation_id and str(each.causation_id))
        assert line.get("reason") == each.reason
        assert line["time"] == each.recorded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert line["data"]["subject"] == each.event.subject  # type: ignore[attr-defined]  # members only


def test_a_line_holds_all_that_a_command_tells() -> None:
    everything = command.Command(
        id=uuid.uuid4(),
        fingerprint="x",
        actor="ada",
        correlation_id=uuid.uuid4(),
        causation_id=uuid.uuid4(),
        reason="why",
        traceparent="00",
    )

    stored = msgspec.to_builtins(draft._metadata(everything))
    assert stored.keys() == lines.COVERED


async def test_the_tree_is_that_of_the_lines(
    event_log: log.EventLog, connection: Connection, verifier_key: str
) -> None:
    keys = [notes.VerifierKey.parse(verifier_key)]
    for count in (1, 4, 12):
        await conftest.record(event_log, count=count)
        sealed = await conftest.seal(connection)

        leaves = [naive.leaf(line[:-1]) for line in await exported(connection)]
        checkpoint = notes.opened(sealed.note, keys=keys)
        assert (checkpoint.size, checkpoint.root) == (len(leaves), naive.root(leaves))


async def test_proofs_hold_for_every_event_and_every_checkpoint(
    event_log: log.EventLog, connection: Connection, proving: proofs.Proofs, verifier_key: str
) -> None:
    keys = [notes.VerifierKey.parse(verifier_key)]
    checkpoints = []
    for count in (3, 1, 9):
        await conftest.record(event_log, count=count)
        checkpoints.append(notes.opened((await conftest.seal(connection)).note, keys=keys))
    texts = await exported(connection)

    for checkpoint in checkpoints:
        for position in range(1, checkpoint.size + 1):
            proof = await proving.inclusion(position=position, size=checkpoint.size)
            assert trees.is_included(
                leaf=trees.leaf_hash(texts[position - 1][:-1]),
                index=position - 1,
                size=checkpoint.size,
                path=proof.hashes,
                root=checkpoint.root,
            )
        for earlier in checkpoints[: checkpoints.index(checkpoint) + 1]:
            grown = await proving.consistency(earlier=earlier.size, size=checkpoint.size)
            assert trees.is_consistent(
                earlier=earlier.size,
                size=checkpoint.size,
                path=grown.hashes,
                earlier_root=earlier.root,
                root=checkpoint.root,
            )


async def test_what_no_checkpoint_covers_is_not_proven(
    event_log: log.EventLog, connection: Connection, proving: proofs.Proofs
) -> None:
    with pytest.raises(proofs.NotCoveredError):
        await proving.checkpoint()
    await conftest.record(event_log, count=2)
    await conftest.seal(connection)

    with pytest.raises(proofs.NotCoveredError, match="position 3"):
        await proving.inclusion(position=3)
    with pytest.raises(proofs.NotCoveredError, match="size 1"):
        await proving.inclusion(position=1, size=1)
    with pytest.raises(proofs.NotCoveredError):
        await proving.consistency(earlier=3)


@pytest.mark.parametrize("table", ["log", "nodes", "checkpoints"])
async def test_what_was_sealed_stays(
    event_log: log.EventLog, connection: Connection, table: str
) -> None:
    await conftest.record(event_log, count=1)
    await conftest.seal(connection)

    name = sql.Identifier("audit", table)
    for change in (sql.SQL("DELETE FROM {}"), sql.SQL("TRUNCATE {}")):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(change.format(name))


async def test_a_tree_that_somebody_changed_is_not_extended(
    event_log: log.EventLog, connection: Connection
) -> None:
    await conftest.record(event_log, count=1)
    await conftest.seal(connection)
    await connection.execute("ALTER TABLE audit.nodes DISABLE TRIGGER nodes_stay")
    await connection.execute("UPDATE audit.nodes SET hash = sha256('forged')")

    with pytest.raises(sealer.SealError, match="not what the checkpoint of size 1 signed"):
        await conftest.seal(connection)


async def test_a_tree_that_another_key_signed_is_not_extended(
    event_log: log.EventLog, connection: Connection
) -> None:
    await conftest.record(event_log, count=1)
    await conftest.seal(connection)

    with pytest.raises(sealer.SealError, match="size 1 was signed with another key"):
        await sealer.Seal.load(connection, key=ed25519.Ed25519PrivateKey.generate())


async def test_one_of_several_seals_and_another_takes_over(
    event_log: log.EventLog,
    ledger: connections.Connections,
    proving: proofs.Proofs,
    connection: Connection,
    directory: Path,
) -> None:
    first, second = directory / "first", directory / "second"
    async with running(ledger, first) as leader:
        await conftest.record(event_log, count=2)
        await until(lambda: is_covered(proving, 2))
        async with running(ledger, second):
            await conftest.record(event_log, count=2)
            await until(lambda: is_covered(proving, 4))
            assert not second.exists()

            leader.cancel()
            await conftest.record(event_log, count=2)
            await until(lambda: is_covered(proving, 6))
            await until(lambda: is_written(second, size=6))

    rows = await connection.execute("SELECT note FROM audit.checkpoints ORDER BY size")
    known = [note for (note,) in await rows.fetchall()]
    assert notes.split(first.read_text())[0] == known[0]
    assert notes.split(second.read_text())[-1] == known[-1]


async def test_sealing_goes_on_after_a_lost_connection(
    event_log: log.EventLog,
    ledger: connections.Connections,
    proving: proofs.Proofs,
    connection: Connection,
    directory: Path,
) -> None:
    async with running(ledger, directory / "checkpoints"):
        await conftest.record(event_log, count=1)
        await until(lambda: is_covered(proving, 1))

        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'servicebook sealer' AND datname = current_database()"
        )
        await conftest.record(event_log, count=1)

        await until(lambda: is_covered(proving, 2))


async def test_a_server_that_falls_silent_as_one_is_chosen_is_given_up(
    database: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer, "_SECONDS", 0.2)
    silencer = gate.Gate(database)

    async with asyncio.timeout(PATIENCE), silencer.serving() as reached:
        falling_silent = gate.FallingSilent(conninfo=reached, gate=silencer)
        async with running(falling_silent, directory / "checkpoints"):
            await falling_silent.has_opened_again.wait()


async def test_a_witness_that_fails_gets_the_newest_later() -> None:
    told: list[str] = []
    is_down = True

    async def witness(note: str) -> None:
        if is_down:
            raise OSError
        told.append(note)

    watched = witnesses.Witnesses([witness], pause=0.01)
    async with watched.telling():
        watched.offer("first")
        watched.offer("second")
        await asyncio.sleep(0)
        watched.offer("third")
        is_down = False

        async def is_told() -> bool:
            return told == ["third"]

        await until(is_told)


@contextlib.asynccontextmanager
async def running(ledger: connections.Connections, file: Path) -> AsyncIterator[asyncio.Task[None]]:
    told = witnesses.Witnesses([witnesses.file_witness(file)])
    task = asyncio.create_task(sealer.Sealer(pool=ledger, key=conftest.KEY, told=told).run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def is_covered(proving: proofs.Proofs, size: int) -> bool:
    try:
        return (await proving.checkpoint()).size == size
    except proofs.NotCoveredError:
        return False


async def is_written(file: Path, *, size: int) -> bool:
    text = await asyncio.to_thread(lambda: file.read_text() if file.exists() else "")
    return f"\n{size}\n" in text


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110  the database tells nobody
            await asyncio.sleep(0.02)
