"""A log with events, sealed as far as a test wants."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import psycopg_pool
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from app.audit import lines, proofs, sealer, signing
from app.eventlog import command, connections, log
from domain import events, values

MOMENT = datetime(2026, 3, 1, 9, 30, 15, 250000, tzinfo=UTC)
OPEN = {"min_size": 1, "max_size": 4, "open": False, "kwargs": {"autocommit": True}}
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAMES = (
    "grace",
    'qu"ote',
    "back\\slash",
    "line\nbreak",
    "tab\tstop",
    "naïve",
    "\U0001f600",
    "\x7f",
)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[psycopg_pool.AsyncConnectionPool[Any]]:
    async with psycopg_pool.AsyncConnectionPool(database, **OPEN) as opened:  # type: ignore[arg-type]
        yield opened


@pytest.fixture
async def event_log(pool: psycopg_pool.AsyncConnectionPool[Any]) -> AsyncIterator[log.EventLog]:
    async with log.EventLog(pool=pool, projections=[], journals=[], policies=_nothing) as opened:
        yield opened


@pytest.fixture
def ledger(pool: psycopg_pool.AsyncConnectionPool[Any]) -> connections.Connections:
    return connections.Connections(pool=pool, seconds=5.0)


@pytest.fixture
def proving(ledger: connections.Connections, event_log: log.EventLog) -> proofs.Proofs:
    return proofs.Proofs(pool=ledger, common_position=event_log.common_position)


@pytest.fixture
async def connection(database: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as opened:
        yield opened


@pytest.fixture
async def verifier_key(connection: psycopg.AsyncConnection[Any]) -> str:
    origin = lines.origin(await sealer.log_id(connection))
    return signing.Signer(origin=origin, key=KEY).verifier_key


async def record(event_log: log.EventLog, *, count: int, project: uuid.UUID | None = None) -> None:
    """Record members with all kinds of names, some for a reason and in consequence of another."""
    project = project or uuid.uuid4()
    history = await event_log.load(project)
    start = len(history.events.get(project, ()))
    for version in range(start + 1, start + count + 1):
        name = NAMES[version % len(NAMES)]
        await event_log.append(
            command=command.Command(
                id=uuid.uuid4(),
                fingerprint="add a member",
                actor=name,
                correlation_id=uuid.uuid4(),
                causation_id=uuid.uuid4() if version % 2 else None,
                reason=name if version % 3 else None,
                traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                if version % 5
                else None,
            ),
            events=[
                events.MemberAdded(
                    originator_id=project,
                    originator_version=version,
                    timestamp=MOMENT,
                    subject=f"{name} {version}",
                    role=values.MemberRole.DEVELOPER,
                )
            ],
        )


async def seal(connection: psycopg.AsyncConnection[Any]) -> sealer.Seal:
    """Seal all there is, in one checkpoint."""
    made = await sealer.Seal.load(connection, key=KEY)
    await made.extend()
    return made


def _nothing(_recorded: object) -> list[Any]:
    return []
