"""Clocks are set an hour ahead, back, and right again: the database's, then the product's.

The clock of the database is the clock. Recorded times never go back, and no deadline is reached
because somebody sets one of the clocks.

Needs libfaketime (Debian: apt-get install faketime).
"""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from app import embedded
from app.eventlog import log
from tests.faults import ground
from tests.journeys import client
from tests.journeys import product as products

_FAKETIME = "/usr/bin/faketime"
_HOUR = 3600
_STEPS = (_HOUR, -_HOUR, 0)


class Clock:
    """The clock of every process that is started under it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, seconds: int) -> None:
        """Let the clock be so far ahead of the real one; whoever reads it sees it at once."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.chmod(0o644)
        fresh.replace(self._file)

    def variables(self) -> dict[str, str]:
        """Return the variables of a process under this clock; how time passes stays real."""
        [library, *_] = Path("/usr").glob("lib/*/faketime/libfaketime.so.1")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    @contextlib.contextmanager
    def governing(self) -> Iterator[None]:
        """Start all processes under this clock, those of other accounts too."""
        with _shared() as names:
            variables = self.variables() | {"FAKETIME_SHARED": names}
            os.environ.update(variables)
            try:
                yield
            finally:
                for name in variables:
                    del os.environ[name]


@contextlib.contextmanager
def _shared() -> Iterator[str]:
    """Hold the memory that libfaketime shares among processes, open to every account."""
    # A session of its own: faketime has a child, which would hold our output open after it.
    holding = [_FAKETIME, "-f", "+0", "sleep", "infinity"]
    with subprocess.Popen(holding, start_new_session=True) as keeper:
        names = [f"/faketime_{kind}_{keeper.pid}" for kind in ("sem", "shm")]
        memory = Path("/dev/shm")  # noqa: S108  where POSIX' shared memory is
        files = [memory / f"sem.{names[0][1:]}", memory / names[1][1:]]
        try:
            products.until(lambda: all(file.exists() for file in files), "the clock is there")
            for file in files:
                file.chmod(0o666)
            yield " ".join(names)
        finally:
            os.killpg(keeper.pid, signal.SIGTERM)


def run(
    place: ground.Ground, clock: Clock, product: products.Product, own: Clock, *, seconds: float
) -> dict[str, object]:
    """Set the database's clock, then the product's, each for so many seconds."""
    recorded = asyncio.run(_recorded_times(place.dsn, clock, seconds=seconds))
    deadlines = _deadlines(place, clock, product, own, seconds=seconds)
    return {
        **recorded,
        **deadlines,
        "passed": ground.is_whole(recorded)
        and recorded["recorded_at_went_back"] == 0
        and set(deadlines.values()) == {"SUCCEEDED"},
    }


async def _recorded_times(dsn: str, clock: Clock, *, seconds: float) -> dict[str, object]:
    account, nows = ground.Account(), list[datetime]()
    is_over = asyncio.Event()

    async def write(writer: ground.Writer) -> None:
        while not is_over.is_set():
            await writer.write()

    async def watch(event_log: log.EventLog) -> None:
        while not is_over.is_set():
            nows.append((await event_log.load()).now)
            await asyncio.sleep(0.01)

    async def step() -> None:
        for ahead in _STEPS:
            await asyncio.sleep(seconds)
            clock.set(ahead)
        await asyncio.sleep(seconds)
        is_over.set()

    async with ground.event_log(dsn) as event_log:
        writers = [ground.Writer(event_log=event_log, account=account) for _ in range(4)]
        await asyncio.gather(step(), watch(event_log), *map(write, writers))
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        cursor = await connection.execute("SELECT recorded_at FROM ledger.events ORDER BY position")
        times = [time_ for (time_,) in await cursor.fetchall()]
    return await ground.in_the_log(dsn, account) | {
        "minutes_ahead": round((times[-1] - datetime.now(UTC)) / timedelta(minutes=1)),
        "recorded_at_went_back": sum(a >= b for a, b in itertools.pairwise(times)),
        "now_went_back_seconds": round(
            max((a - b).total_seconds() for a, b in itertools.pairwise(nows)), 3
        ),
    }


def _deadlines(
    place: ground.Ground, clock: Clock, product: products.Product, own: Clock, *, seconds: float
) -> dict[str, object]:
    """Let a deployment, which has half an hour, wait while clocks are set."""
    api = client.Api(product)

    def outcome(name: str, which: Clock, *steps: int) -> str:
        gate = place.directory / name
        environment = api.deployable_project().test
        script = f"while ! test -e {gate}; do sleep 0.1; done"
        settings = {"path": f"{gate}.env", "command": ["/bin/sh", "-c", script]}
        api.do("configureDeployer", environment=environment, kind="ENV_FILE", settings=settings)
        deployment = api.do("deploy", environment=environment)["deployment"]["id"]
        products.until(lambda: api.deployment(deployment)["step"] == "RELEASE", "it is released")
        for ahead in steps:
            which.set(ahead)
            time.sleep(seconds)
        gate.touch()
        products.until(lambda: api.deployment(deployment)["status"] != "RUNNING", "it has ended")
        found = api.deployment(deployment)
        return found["error"]["code"] if found["error"] else str(found["status"])

    try:
        return {
            "product_set": outcome("product", own, *_STEPS),
            "database_set_back": outcome("back", clock, -_HOUR, 0),
            "database_set_ahead": outcome("ahead", clock, 2 * _HOUR, 0),  # it was one ahead
        }
    finally:
        api.close()


def main() -> None:
    """Run it at full size."""
    if not Path(_FAKETIME).exists():
        raise SystemExit("libfaketime is missing: apt-get install faketime")
    with tempfile.TemporaryDirectory(prefix="servicebook-faults-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        clock, own = Clock(directory / "database"), Clock(directory / "product")
        with contextlib.ExitStack() as stack:
            with clock.governing():
                place = stack.enter_context(ground.prepared())
            product = stack.enter_context(
                products.prepared(
                    server=place.address,
                    template=embedded.LEDGER_DATABASE,
                    directory=directory,
                    settings=own.variables(),
                )
            )
            product.start()
            ground.report(run(place, clock, product, own, seconds=5))


if __name__ == "__main__":
    main()
