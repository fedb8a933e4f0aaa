"""EventLog, the door to the log."""

import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg_pool

from app.eventlog import command as commands
from app.eventlog import (
    connections,
    draft,
    epochs,
    hints,
    kept,
    loading,
    mapper,
    memory,
    projecting,
    reading,
    snapshot,
    tail,
    transaction,
    writer,
)
from domain import events
from projections import projection

_SECONDS = 5.0
_FOLLOW_BATCH = 500
_logger = logging.getLogger(__name__)

_FIND = (
    "SELECT fingerprint, first_position, last_position, recorded_at "
    "FROM ledger.commands WHERE command_id = %s"
)


def _every(_event: projection.RecordedEvent) -> bool:
    return True


class EventLog:
    """The log: written through one connection, read through the pool.

    Use it as a context manager, or close it, while the pool is open.
    """

    def __init__(
        self,
        *,
        pool: psycopg_pool.AsyncConnectionPool[Any],
        projections: Sequence[projection.Projection],
        journals: Sequence[projection.Journal],
        policies: draft.Policies,
        seconds: float = _SECONDS,
    ) -> None:
        self.keep = kept.Keep()
        self._epochs = epochs.Epochs()
        self._memory = memory.Memory()
        self._mapper = mapper.EventMapper()
        self._connections = connections.Connections(pool=pool, seconds=seconds)
        self._loader = loading.Loader(pool=self._connections, event_mapper=self._mapper)
        self._snapshots = snapshot.Snapshots(pool=self._connections)
        self._hints = hints.Hints(pool=self._connections)
        self._tail = tail.Tail(
            hints=self._hints,
            epochs=self._epochs,
            read=self._read_patiently,
            head=self._head_patiently,
        )
        self._writer = writer.Writer(
            pool=self._connections,
            rules=transaction.Rules(
                models=projecting.ReadModels(projections=projections, journals=journals),
                policies=policies,
                mapper=self._mapper,
            ),
            memory=self._memory,
            epochs=self._epochs,
            followers=self._hints,
            seconds=seconds,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Write what waits, then let go of the log's own connections."""
        await self._tail.stop()
        await self._hints.stop()
        await self._writer.aclose()
        await self._snapshots.aclose()

    @property
    def hints(self) -> hints.Hints:
        """What tells that the log may have grown."""
        return self._hints

    async def append(
        self,
        *,
        command: commands.Command,
        events: Sequence[events.Event],
        assumed: commands.Assumed | None = None,
    ) -> commands.Receipt:
        """Record the command with its events and all that follows from them, or nothing.

        If it was decided on what was `assumed`, anything else is a conflict.
        A repeat of a recorded command gets the first receipt. Raises VersionConflictError,
        CommandReusedError, LogUnavailableError, and whatever a projection raises.
        """
        return await self._writer.append(transaction.Request(command, tuple(events), assumed))

    def recent(self) -> loading.History | None:
        """Return time and epoch without asking; None if this process is not the last that wrote.

        The position is what it will be when all is recorded that is on its way.
        """
        now, head = self._memory.clock.now(), self._memory.head
        if now is None or head is None or not self._memory.is_sure:
            return None
        return loading.History({}, now, head.position, head.epoch, {})

    async def find(self, command_id: UUID) -> commands.RecordedCommand | None:
        """Return the command of that id, if it was recorded."""

        async def work(connection: connections.Connection) -> commands.RecordedCommand | None:
            cursor = await connection.execute(_FIND, [command_id])
            row = await cursor.fetchone()
            return None if row is None else transaction.recorded_command(row)

        return await self._connections.run(work)

    async def load(
        self,
        *aggregate_ids: UUID,
        until: int | None = None,
        known: Mapping[UUID, int] = MappingProxyType({}),
        folds: Iterable[str] = (),
    ) -> loading.History:
        """Return the aggregates' events up to a position, and the database's time.

        Of an aggregate whose version is `known`, only what follows; of others, what follows a
        snapshot by one of the `folds`.
        """
        wanted = loading.Wanted(
            known={key: known.get(key, 0) for key in aggregate_ids}, folds=frozenset(folds)
        )
        if until is None:
            return await self._loader.load(wanted)
        return await self._loader.load_until(wanted, until=until)

    def store(self, taken: snapshot.Snapshot, *, command_id: UUID) -> None:
        """Store a snapshot soon, of what the command left; nobody waits for it."""
        self._snapshots.put(taken, command_id=command_id)

    async def read(
        self, *, after: int, limit: int, originator_id: UUID | None = None
    ) -> list[projection.RecordedEvent]:
        """Return the next events after a position, of one aggregate or of all."""

        async def work(connection: connections.Connection) -> list[projection.RecordedEvent]:
            return await reading.read(
                connection,
                event_mapper=self._mapper,
                after=after,
                limit=limit,
                originator_id=originator_id,
            )

        return await self._connections.run(work)

    async def read_some(
        self, originator_ids: Sequence[UUID], *, after: int, until: int, limit: int
    ) -> list[projection.RecordedEvent]:
        """Return the next events of some aggregates after a position, up to another."""

        async def work(connection: connections.Connection) -> list[projection.RecordedEvent]:
            return await reading.read_some(
                connection,
                event_mapper=self._mapper,
                originator_ids=originator_ids,
                after=after,
                until=until,
                limit=limit,
            )

        return await self._connections.run(work)

    def follow(
        self, *, after: int | tail.Cursor, wanted: tail.Wanted = _every
    ) -> AsyncIterator[projection.RecordedEvent]:
        """Yield every wanted event after a position in order; for ever, if a cursor stays.

        Lost connections are waited out. An event that is not wanted wakes nobody up. Raises
        LogDivergedError when the log turns out to be another one before that position.
        """
        cursor = after if isinstance(after, tail.Cursor) else tail.Cursor(after)
        return self._tail.follow(cursor, wanted=wanted)

    async def common_position(self, place: epochs.Place) -> int:
        """Return a position that was read from this log. Raises LogDivergedError."""

        async def work(connection: connections.Connection) -> int:
            position = await epochs.common_position(connection, place)
            await self._epochs.look(connection)
            return position

        return await self._connections.run(work)

    def place(self, position: int) -> str:
        """Return the text of a position, as clients see it."""
        return self._epochs.text(position)

    async def begin(self) -> None:
        """Find out, before clients ask, whether the log was restored; appends do so as well."""
        await self._connections.run(self._epochs.begin)

    async def head(self) -> int:
        """Return the last position, 0 if there is none."""
        return await self._connections.run(reading.head)

    async def check(self) -> int:
        """Return the last position, when it is sure that commands can be recorded and read.

        Raises LogUnavailableError.
        """
        await self._writer.check()
        return await self.head()

    async def _head_patiently(self) -> int | None:
        try:
            return await self.head()
        except commands.LogUnavailableError:
            return None

    async def _read_patiently(self, after: int) -> list[projection.RecordedEvent]:
        async def work(connection: connections.Connection) -> list[projection.RecordedEvent]:
            found = await reading.read(
                connection, event_mapper=self._mapper, after=after, limit=_FOLLOW_BATCH
            )
            await self._epochs.look(connection)
            return found

        try:
            return await self._connections.run(work)
        except commands.LogUnavailableError:
            _logger.warning("cannot read the log after %d; following goes on later", after)
            return []
