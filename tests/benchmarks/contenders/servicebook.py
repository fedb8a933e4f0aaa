"""Servicebook: its use cases, read models and command records included."""

import asyncio
import contextlib
import itertools
import tempfile
import time
from pathlib import Path
from uuid import UUID

from app import bootstrap, database
from app import settings as configuration
from app.application import request
from tests.benchmarks.contenders import contender

_ACTOR = "benchmark"
_SERVICES_OF_A_PROJECT = 4


class Servicebook:
    """Load, decide, commit, and visible in the read model."""

    name = "Servicebook"

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()
        self._parts: bootstrap.Parts
        self._wanted: dict[UUID, bool] = {}
        self._accepted = 0

    def prepare(self, conninfo: str) -> None:
        """Create projects with their services."""
        self._runner.run(self._prepare(conninfo))

    def run(self, *, callers: int, seconds: float) -> contender.Measured:
        """Attach and detach."""
        return self._runner.run(self._run(callers, seconds))

    def finish(self) -> None:
        """Compare the read model with what was answered, and the log with their number."""
        self._runner.run(self._finish())
        self._runner.close()

    async def _prepare(self, conninfo: str) -> None:
        place = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._parts = await self._stack.enter_async_context(
            bootstrap.assembled(
                settings=configuration.Settings(data_directory=Path(place)),
                found=database.Database(
                    ledger_dsn=conninfo, provider_dsn=None, provider_address=None
                ),
                progress=lambda _: None,
            )
        )
        numbers = range(contender.SERVICES // _SERVICES_OF_A_PROJECT)
        await asyncio.gather(*map(self._create_project, numbers))
        self._wanted = await self._in_read_model()
        assert len(self._wanted) == contender.SERVICES
        self._before = await self._parts.event_log.head()

    async def _create_project(self, number: int) -> None:
        await self._parts.application.projects.create_project(
            request=request.Request(actor=_ACTOR, name="create_project"), name=f"project-{number}"
        )

    async def _run(self, callers: int, seconds: float) -> contender.Measured:
        ids = list(self._wanted)
        latencies: list[float] = []
        end = time.perf_counter() + seconds

        async def caller(first: int) -> None:
            mine = itertools.cycle(ids[first::callers])
            while (begin := time.perf_counter()) < end:
                await self._toggle(next(mine))
                latencies.append(time.perf_counter() - begin)

        begin = time.perf_counter()
        await asyncio.gather(*map(caller, range(callers)))
        self._accepted += len(latencies)
        return contender.Measured(latencies, time.perf_counter() - begin)

    async def _toggle(self, service_instance_id: UUID) -> None:
        services = self._parts.application.services
        is_wanted = self._wanted[service_instance_id]
        await (services.detach if is_wanted else services.attach)(
            request=request.Request(actor=_ACTOR, name="toggle"),
            service_instance_id=service_instance_id,
        )
        self._wanted[service_instance_id] = not is_wanted

    async def _in_read_model(self) -> dict[UUID, bool]:
        async with self._parts.pool.connection() as connection:
            rows = await connection.execute("SELECT id, wanted FROM read.service_instances")
            return dict(await rows.fetchall())

    async def _finish(self) -> None:
        assert await self._in_read_model() == self._wanted
        assert await self._parts.event_log.head() == self._before + self._accepted
        await self._stack.aclose()
