"""A log and its read models in the sizes that the product must hold.

    python -m tests.benchmarks.data CONNECTION_STRING [PERCENT]

A few dozen stories are told by the aggregates and folded by the read models' own code; what is
loaded are copies of them, a hundred stories going on at a time. The same sizes give the same data.
"""

import asyncio
import collections
import contextlib
import dataclasses
import itertools
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from app import bootstrap, catalogue
from app.eventlog import tables
from tests.benchmarks import plots, stamping

_BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
_END = datetime(2026, 1, 1, tzinfo=UTC)
_AT_ONCE = 100
_AHEAD = 2  # waves that are being written while the next one is made
_LANES = {"events": 0, "lifecycle_history": 1}
_OTHER_LANE = 2


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much of everything; the default is the target."""

    projects: int = 5_000
    events_of_a_project: int = 400
    services_of_the_crowded_project: int = 1_000
    events_of_the_longest_history: int = 10_000
    stories: int = 24

    @classmethod
    def percent(cls, percent: float) -> "Sizes":
        """Return a share of the target; the largest project and history stay as they are."""
        return cls(projects=round(cls.projects * percent / 100))


@dataclasses.dataclass(frozen=True)
class Landmarks:
    """How much there is, and where to look for the largest of its kind."""

    events: int
    commands: int
    crowded_project_id: UUID
    crowded_environment_id: UUID
    longest_history_id: UUID


async def load(*, conninfo: str, sizes: Sizes) -> Landmarks:
    """Fill an empty log and the read models; schema and tables are made first."""
    await bootstrap.prepare(conninfo=conninfo, progress=lambda _: None)
    return await asyncio.to_thread(_fill, conninfo, sizes)


def _fill(conninfo: str, sizes: Sizes) -> Landmarks:
    cast = _Cast(sizes)
    position, second = 1, int(_BEGIN.timestamp())
    step = max(1, int((_END - _BEGIN).total_seconds()) // cast.commands)
    with _Lanes(conninfo) as lanes:
        for wave in cast.waves():
            told = _interleaved(wave, cast.chance, position=position, second=second, step=step)
            lanes.write(told.lines)
            position, second = told.position, told.second
        lanes.finish(position=position - 1, at=datetime.fromtimestamp(second, UTC))
    return Landmarks(events=position - 1, commands=cast.commands, **cast.landmarks())


class _Cast:
    """Which stories are told, and how often."""

    def __init__(self, sizes: Sizes) -> None:
        offered = catalogue.load()
        self.chance = random.Random(sizes.projects)  # noqa: S311  the same data each time
        self._crowded = plots.crowded(
            seed=-1, catalogue=offered, services=sizes.services_of_the_crowded_project
        )
        self._long = plots.long_lived(
            seed=-2, catalogue=offered, length=sizes.events_of_the_longest_history
        )
        ordinary = [
            plots.ordinary(seed=seed, catalogue=offered, length=sizes.events_of_a_project)
            for seed in range(min(sizes.stories, sizes.projects))
        ]
        templates = map(stamping.Template, ordinary)
        self._copies = [
            _Copying(template, number)
            for number, template in zip(
                range(sizes.projects), itertools.cycle(list(templates)), strict=False
            )
        ]
        special = [stamping.Template(self._crowded), stamping.Template(self._long)]
        self._special = [
            _Copying(template, sizes.projects + number) for number, template in enumerate(special)
        ]
        # Not at the end, where everything is warm.
        middle = len(self._copies) // 2
        self._copies[middle:middle] = self._special
        self.commands = sum(len(each.template.lengths) for each in self._copies)

    def waves(self) -> Iterator[Sequence["_Copying"]]:
        """Yield the copies that go on at the same time."""
        for start in range(0, len(self._copies), _AT_ONCE):
            yield self._copies[start : start + _AT_ONCE]

    def landmarks(self) -> dict[str, Any]:
        """Return the ids of what is largest, once it was told."""
        crowded, long = (each.ids for each in self._special)
        place = self._crowded.places[0]
        service = next(iter(self._long.places[0].services))
        return {
            "crowded_project_id": UUID(crowded[str(self._crowded.project.id)]),
            "crowded_environment_id": UUID(crowded[str(place.environment.id)]),
            "longest_history_id": UUID(long[str(service)]),
        }


@dataclasses.dataclass
class _Copying:
    """A story on its way: where its commands are so far, and its ids once it is told."""

    template: stamping.Template
    number: int
    firsts: list[int] = dataclasses.field(default_factory=list)
    seconds: list[int] = dataclasses.field(default_factory=list)
    ids: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Told:
    """Lines by table, in the order of the log; and where and when the next command is."""

    lines: Mapping[str, Sequence[str]]
    position: int
    second: int


def _interleaved(
    wave: Sequence[_Copying], chance: random.Random, *, position: int, second: int, step: int
) -> _Told:
    order = [copying for copying in wave for _ in copying.template.lengths]
    chance.shuffle(order)
    for copying in order:
        length = copying.template.lengths[len(copying.firsts)]
        copying.firsts.append(position)
        copying.seconds.append(second)
        position += length
        second += step
    lines: dict[str, list[tuple[int, str]]] = collections.defaultdict(list)
    for copying in wave:
        copy = copying.template.copy(
            number=copying.number, chance=chance, firsts=copying.firsts, seconds=copying.seconds
        )
        copying.ids = copy.ids
        for name, some in copy.lines.items():
            lines[name] += some
    return _Told(
        lines={name: [line for _, line in sorted(some)] for name, some in lines.items()},
        position=position,
        second=second,
    )


class _Lanes(contextlib.AbstractContextManager["_Lanes"]):
    """Connections that write at the same time, each its own tables."""

    def __init__(self, conninfo: str) -> None:
        self._connections = [
            psycopg.connect(conninfo, autocommit=True) for _ in range(_OTHER_LANE + 1)
        ]
        self._executors = [futures.ThreadPoolExecutor(1) for _ in self._connections]
        self._waves: collections.deque[list[futures.Future[None]]] = collections.deque()
        with self._connections[0].execute("SELECT position FROM ledger.head") as cursor:
            if cursor.fetchall() != [(0,)]:
                raise ValueError("The log holds something already: load into an empty one.")

    def __exit__(self, *_: object) -> None:
        for executor in self._executors:
            executor.shutdown(cancel_futures=True)
        for connection in self._connections:
            connection.close()

    def write(self, lines: Mapping[str, Sequence[str]]) -> None:
        """Begin to write a wave; wait for one before, if too many are on their way."""
        wave = []
        for name, some in lines.items():
            lane = _LANES.get(name, _OTHER_LANE)
            wave.append(self._executors[lane].submit(self._copy, lane, name, some))
        self._waves.append(wave)
        while len(self._waves) > _AHEAD:
            self._settle()

    def finish(self, *, position: int, at: datetime) -> None:
        """Wait for all, move the head, and let the planner know what there is."""
        while self._waves:
            self._settle()
        connection = self._connections[0]
        connection.execute(
            "UPDATE ledger.head SET position = %s, recorded_at = greatest(recorded_at, %s) "
            "+ interval '1 microsecond'",
            [position, at],
        )
        connection.execute("VACUUM ANALYZE")

    def _settle(self) -> None:
        for written in self._waves.popleft():
            written.result()

    def _copy(self, lane: int, name: str, lines: Sequence[str]) -> None:
        schema = "ledger" if name in stamping.LOG_TABLES else tables.LIVE
        columns = (stamping.LOG_TABLES | stamping.READ_TABLES)[name]
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(schema, name), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with self._connections[lane].cursor() as cursor, cursor.copy(statement) as copy:
            copy.write("\n".join(lines) + "\n")


def _command_line(conninfo: str, percent: str = "100") -> None:
    begin = time.monotonic()
    landmarks = asyncio.run(load(conninfo=conninfo, sizes=Sizes.percent(float(percent))))
    seconds = time.monotonic() - begin
    print(landmarks, f"in {timedelta(seconds=round(seconds))}")


if __name__ == "__main__":
    _command_line(*sys.argv[1:])
