"""What the fault runs stand on: a real server, the log over it, writers who keep account."""

import asyncio
import contextlib
import dataclasses
import json
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg

import projections
from app import bootstrap, embedded
from app.eventlog import command, connections, log
from app.work import policies
from domain import events, project, values

_PAUSE = 0.05  # seconds, after the log was unavailable


@dataclasses.dataclass(frozen=True)
class Ground:
    """A server of its own, with an empty log."""

    directory: Path
    address: embedded.Address
    dsn: str


@contextlib.contextmanager
def prepared(**settings: str) -> Iterator[Ground]:
    """Run a server with these settings of PostgreSQL, which end with the block."""
    with tempfile.TemporaryDirectory(
        prefix="servicebook-faults-", ignore_cleanup_errors=True
    ) as place:
        directory = Path(place)
        directory.chmod(0o711)  # root's PostgreSQL runs as another account
        with embedded.running(data=directory / "postgres", settings=settings) as address:
            dsn = address.dsn(embedded.LEDGER_DATABASE)
            asyncio.run(bootstrap.prepare(conninfo=dsn, progress=lambda _: None))
            yield Ground(directory=directory, address=address, dsn=dsn)


@contextlib.asynccontextmanager
async def event_log(dsn: str) -> AsyncIterator[log.EventLog]:
    """Open the log as a process of the product does, with all that follows from events."""
    async with (
        connections.Pool(
            dsn,
            min_size=2,
            max_size=8,
            reconnect_timeout=1.0,
            kwargs={"autocommit": True},
            open=False,
        ) as pool,
        log.EventLog(
            pool=pool,
            projections=projections.PROJECTIONS,
            journals=projections.JOURNALS,
            policies=policies.tasks_for,
        ) as opened,
    ):
        yield opened


@dataclasses.dataclass
class Account:
    """What writers were told."""

    acknowledged: dict[UUID, int] = dataclasses.field(default_factory=dict)
    told_at: dict[int, float] = dataclasses.field(default_factory=dict)
    conflicts: int = 0
    unavailable: int = 0
    slowest: float = 0.0


class Writer:
    """Writes to a project that nobody else writes to: every conflict is a false one."""

    def __init__(self, *, event_log: log.EventLog, account: Account) -> None:
        self._log = event_log
        self._account = account
        self._project: project.Project | None = None

    async def write(self) -> None:
        """Record one more event, however often it has to be sent."""
        asked = new_command()
        decided = self._decide()
        started = time.monotonic()
        while True:
            try:
                receipt = await self._log.append(command=asked, events=decided)
            except command.LogUnavailableError:
                self._account.unavailable += 1
                await asyncio.sleep(_PAUSE)
            except command.VersionConflictError:
                self._account.conflicts += 1
                return
            else:
                break
        now = time.monotonic()
        self._account.slowest = max(self._account.slowest, now - started)
        self._account.acknowledged[asked.id] = receipt.last_position
        self._account.told_at[receipt.last_position] = now

    def _decide(self) -> list[events.Event]:
        at = datetime.now(UTC)
        if self._project is None:
            self._project = project.Project.create(project_id=uuid4(), name=uuid4().hex, at=at)
        elif self._project.members:
            self._project.remove_member(subject="grace", at=at)
        else:
            self._project.add_member(subject="grace", role=values.MemberRole.DEVELOPER, at=at)
        return list(self._project.collect_events())


def new_command() -> command.Command:
    return command.Command(
        id=uuid4(), fingerprint="a fault run", actor="ada", correlation_id=uuid4()
    )


Figures = Mapping[str, object]
"""What a run measured; `passed` says whether that is good enough."""


async def in_the_log(dsn: str, account: Account) -> dict[str, object]:
    """Compare the log with what writers were told; they have ended, and wrote all there is."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        rows = await (
            await connection.execute("SELECT command_id, position FROM ledger.events")
        ).fetchall()
        [(head,)] = await (await connection.execute("SELECT position FROM ledger.head")).fetchall()
    positions = dict(rows)
    return {
        "acknowledged": len(account.acknowledged),
        "lost": sum(
            1
            for asked, position in account.acknowledged.items()
            if positions.get(asked) != position
        ),
        "duplicated": len(rows) - len(positions),
        "false_conflicts": account.conflicts,
        "unavailable": account.unavailable,
        "events": len(rows),
        "last_position": max(positions.values(), default=0),
        "head": head,
    }


def is_whole(figures: Figures) -> bool:
    """Tell whether nothing is lost, doubled, refused wrongly or missing in between."""
    return (
        figures["lost"] == figures["duplicated"] == figures["false_conflicts"] == 0
        and figures["events"] == figures["last_position"] == figures["head"]
        and figures["events"] == figures["acknowledged"] != 0
    )


def report(figures: Figures) -> None:
    """Print what was measured, and end the process: with 1 if that is not good enough."""
    print(json.dumps(figures, indent=2))  # noqa: T201  the result of a run
    raise SystemExit(0 if figures["passed"] else 1)
