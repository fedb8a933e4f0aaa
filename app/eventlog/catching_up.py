"""The log in its own order, folded into fresh tables: what was recorded during a rebuild."""

import math
from collections.abc import Iterable, Mapping, Sequence

from psycopg import sql

from app.eventlog import connections, mapper, projecting, reading
from projections import projection

_BATCH = 5_000
_CACHED_ROWS = 10_000


class CatchingUp:
    """Folds from a position on; rows are kept between batches, and each batch is stored."""

    def __init__(
        self,
        *,
        connection: connections.Connection,
        models: projecting.ReadModels,
        schema: str,
        position: int,
    ) -> None:
        self.position = position
        self._connection = connection
        self._models = models
        self._note = sql.SQL("UPDATE {}.progress SET position = %s").format(sql.Identifier(schema))
        self._mapper = mapper.EventMapper()
        self._cache: dict[str, projecting.Rows] = {}

    async def catch_up(self) -> None:
        """Fold and store what the log holds; if it grows faster than that, appends have to wait."""
        ahead, is_outrun = math.inf, False
        while recorded := await reading.read(
            self._connection, event_mapper=self._mapper, after=self.position, limit=_BATCH
        ):
            async with self._connection.transaction():
                if is_outrun:
                    await self._connection.execute("SELECT 1 FROM ledger.head FOR UPDATE")
                await self._fold(recorded)
                await self._connection.execute(self._note, [recorded[-1].position])
            self.position = recorded[-1].position
            before, ahead = ahead, await reading.head(self._connection) - self.position
            is_outrun = is_outrun or ahead >= before

    def go_back_to(self, position: int) -> None:
        """Forget what a transaction did that was rolled back."""
        self.position = position
        self._cache = {}

    async def _fold(self, recorded: Sequence[projection.RecordedEvent]) -> None:
        if sum(map(len, self._cache.values())) > _CACHED_ROWS:
            self._cache = {}
        await self._fetch(self._models.keys(recorded))
        folding = projecting.Folding(models=self._models, rows=self._cache)
        folding.keep(folding.fold(recorded))
        changes = folding.changes()
        await projecting.write(self._connection, self._models, changes)
        for name, rows in changes.rows.items():
            self._cache[name].update(rows)

    async def _fetch(self, keys: Mapping[str, Iterable[projection.Key]]) -> None:
        """Read the rows concerned that are not cached."""
        missing = {}
        for name, wanted in keys.items():
            cached = self._cache.setdefault(name, {})
            if absent := [key for key in wanted if key not in cached]:
                missing[name] = absent
        cursors = await projecting.ask(self._connection, self._models, missing)
        for name, rows in (await projecting.answers(self._models, missing, cursors)).items():
            self._cache[name].update(rows)
