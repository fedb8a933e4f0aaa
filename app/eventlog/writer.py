"""One writer per process: what waits goes into one transaction, and again if that is cut."""

import asyncio
import collections
import contextlib
import functools
import itertools
import operator
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg

from app import timers
from app.eventlog import command as commands
from app.eventlog import connections, hints, outage, sending, transaction
from app.eventlog import epochs as log_epochs
from app.eventlog import memory as memories

_BATCH = 512
_AT_ONCE = 2  # batches; while the server is at one, the next is made
_WORTH_HALVING = 8
_HAS_TRANSACTION_TIMEOUT = 170000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTIFY_EVERY = 0.02  # seconds
_FRESH = 1.0  # seconds for which a write proves that the next one is possible
_TO_CHECK = 2.0


_Outcome = asyncio.Future[commands.Receipt | None]


class _Pending(NamedTuple):
    """A request that waits; without one, the question whether anything can be written."""

    number: int
    request: transaction.Request | None
    outcome: _Outcome


class Writer:
    """Takes requests, writes them in order of arrival, on a connection of its own.

    The task runs while something waits and then ends; the connection stays open.
    """

    def __init__(
        self,
        *,
        pool: connections.Connections,
        rules: transaction.Rules,
        memory: memories.Memory,
        epochs: log_epochs.Epochs,
        followers: hints.Hints,
        seconds: float,
    ) -> None:
        self._pool = pool
        self._rules = rules
        self._memory = memory
        self._epochs = epochs
        self._followers = followers
        self._seconds = seconds
        self._deadlines = timers.Timers(seconds)
        self._cuts = timers.Timers(seconds / 2)
        self._numbers = itertools.count()
        self._waiting: collections.deque[_Pending] = collections.deque()
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._connection: connections.Connection | None = None
        self._sender: sending.Sender | None = None
        self._telling: asyncio.Task[None] | None = None
        self._notified_at = self._wrote_at = float("-inf")
        self._outage = outage.Outage()

    async def append(self, request: transaction.Request) -> commands.Receipt:
        """Write the request and return its receipt; a caller that leaves does not stop it.

        Raises an AppendError, or what a fold or a statement raised.
        """
        outcome = self._put(request)
        deadline = self._deadlines.start(functools.partial(self._give_up_for_good, outcome))
        try:
            receipt = await outcome
        finally:
            deadline.cancel()
        if receipt is None:
            raise TypeError("a request has a receipt")
        return receipt

    async def check(self) -> None:
        """Prove that the log can be written now: lock its head and commit.

        A write of the last second is proof enough. In an outage a lock proves nothing, as on a
        full disk it can be had: then it takes something that is really written. Raises
        LogUnavailableError.
        """
        if self._outage.is_on or asyncio.get_running_loop().time() > self._wrote_at + _FRESH:
            outcome, seconds = self._put(None), min(self._seconds, _TO_CHECK)
            timer = asyncio.get_running_loop().call_later(seconds, _give_up, outcome)
            try:
                await outcome
            finally:
                timer.cancel()

    async def aclose(self) -> None:
        """Write what waits, then close the connection."""
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._telling is not None:
            await asyncio.wait([self._telling])
        await self._disconnect()

    def _put(self, request: transaction.Request | None) -> _Outcome:
        """Let a request wait for its turn, and return what becomes of it."""
        outcome: _Outcome = asyncio.get_running_loop().create_future()
        self._waiting.append(_Pending(next(self._numbers), request, outcome))
        self._news.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return outcome

    async def _drain(self) -> None:
        """Send one batch while the server is at another; what has to look waits for both."""
        while self._waiting or self._is_sending:
            self._news.clear()
            while self._waiting and self._count_sent() < _AT_ONCE:
                batch = self._take()
                if not self._send(batch):
                    self._put_back(batch)
                    await self._all_landed()
                    await self._write(self._take())
            if self._is_sending:
                await self._news.wait()

    @property
    def _is_sending(self) -> bool:
        return self._count_sent() > 0

    def _count_sent(self) -> int:
        return 0 if self._sender is None else self._sender.on_the_way

    async def _all_landed(self) -> None:
        while self._is_sending:
            self._news.clear()
            await self._news.wait()

    def _take(self) -> list[_Pending]:
        """Take what waits; half of it if the server has nothing to do, so that both have."""
        count = min(_BATCH, len(self._waiting))
        if count > _WORTH_HALVING and self._memory.is_sure and not self._is_sending:
            count = -(-count // 2)
        return [self._waiting.popleft() for _ in range(count)]

    def _put_back(self, batch: Sequence[_Pending]) -> None:
        """Let the batch wait again, before what came later and after what came earlier."""
        waiting = sorted([*batch, *self._waiting], key=operator.attrgetter("number"))
        self._waiting = collections.deque(waiting)

    def _send(self, batch: Sequence[_Pending]) -> bool:
        """Send the batch if all that it needs is known; its callers hear of it when it landed."""
        batch = [pending for pending in batch if not pending.outcome.done()]
        if self._connection is None or self._sender is None or self._outage.is_on:
            return False
        plan = transaction.plan(rules=self._rules, memory=self._memory, requests=_requests(batch))
        if plan is None:
            return False
        self._memory.look_ahead(plan.drafted)
        timer = self._cuts.start(functools.partial(connections.cut, self._connection))

        def landed(outcome: str | psycopg.Error) -> None:
            timer.cancel()
            if not self._is_sending:
                self._news.set()  # the server has nothing to do: what waits goes out at once
            if isinstance(outcome, psycopg.Error):
                # Somebody else was there, or a command is a repeat, or worse: a look tells.
                self._memory.suspect()
                self._put_back(batch)
            else:
                self._memory.clock.tell(_EPOCH + timedelta(microseconds=int(outcome)))
                self._settle(batch, plan.receipts)
            self._news.set()  # else after those who heard of it, and may send the next by then

        self._sender.send(plan.statements, landed=landed)
        return True

    async def _write(self, batch: Sequence[_Pending]) -> None:
        """Write the batch, again and again while its connection is lost and somebody waits."""
        for failures in itertools.count():
            batch = [pending for pending in batch if not pending.outcome.done()]
            if not batch:
                return
            try:
                await self._attempt(batch)
            except connections.LOST as error:
                self._outage.suspect(error)
                await self._disconnect()
                if self._outage.is_on:  # who checks has the answer; who appends may wait
                    _give_up_checks(batch)
                await asyncio.sleep(connections.pause(failures))
            except Exception as error:  # noqa: BLE001  the callers get it
                await self._disconnect()
                await self._fail(batch, error)

    async def _fail(self, batch: Sequence[_Pending], error: Exception) -> None:
        """Hand the error over; of several commands each is tried alone, and fails alone."""
        if len(batch) > 1:
            for pending in batch:
                await self._write([pending])
        elif not batch[0].outcome.done():
            batch[0].outcome.set_exception(error)

    async def _attempt(self, batch: Sequence[_Pending]) -> None:
        connection = self._connection or await self._connect()
        # Half of the time: if this session has fallen silent, another may answer.
        with connections.cut_after(connection, seconds=self._seconds / 2):
            if self._outage.is_on and any(pending.request is None for pending in batch):
                await transaction.try_out(connection)
                self._outage.end()
            outcomes = await transaction.write(
                connection, rules=self._rules, memory=self._memory, requests=_requests(batch)
            )
        self._settle(batch, outcomes)

    def _settle(
        self, batch: Sequence[_Pending], outcomes: Sequence[commands.Receipt | Exception]
    ) -> None:
        self._wrote_at = asyncio.get_running_loop().time()
        if self._outage.is_suspected and (not self._outage.is_on or any(map(_is_new, outcomes))):
            self._outage.end()
        receipts = iter(outcomes)
        for pending in batch:
            outcome = None if pending.request is None else next(receipts)
            if pending.outcome.done():
                continue
            if isinstance(outcome, Exception):
                pending.outcome.set_exception(outcome)
            else:
                pending.outcome.set_result(outcome)
        if outcomes:
            self._tell()

    def _give_up_for_good(self, outcome: _Outcome) -> None:
        if not outcome.done():
            self._outage.begin()
            _give_up(outcome)

    def _tell(self) -> None:
        """Hint to followers: here at once, elsewhere not for every batch."""
        self._followers.wake()
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        """Notify once the last notification is a while ago; a lost one is made up for by polls.

        Not on the writer's connection: a session that stopped in its own NOTIFY holds up those
        of all others, and writes shall not wait for it.
        """
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._notified_at + _NOTIFY_EVERY - loop.time())
        self._notified_at = loop.time()
        with contextlib.suppress(commands.LogUnavailableError):
            await self._pool.ask(hints.NOTIFY)

    async def _connect(self) -> connections.Connection:
        # A process that stops in the middle must not keep the head from all others. A look is
        # planned once: how many rows it asks for changes nothing.
        self._connection = await self._pool.open(
            purpose="writer",
            options=f"-c idle_in_transaction_session_timeout={self._seconds:g}s "
            "-c plan_cache_mode=force_generic_plan",
        )
        # The server may be another one by now, which was restored or promoted.
        with connections.cut_after(self._connection, seconds=self._seconds / 2):
            if self._connection.info.server_version >= _HAS_TRANSACTION_TIMEOUT:
                # Nor while the server waits for the rest of what it was sent.
                await self._connection.execute(f"SET transaction_timeout = '{self._seconds:g}s'")
            await self._epochs.begin(self._connection)
        self._sender = sending.Sender(self._connection)
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection, self._sender = self._connection, None, None
        self._memory.forget()
        if connection is not None:
            # It may be broken already; nothing on it is wanted any more.
            with contextlib.suppress(psycopg.Error):
                await connection.close()


def _give_up(outcome: _Outcome) -> None:
    """Tell who waits that the log cannot be reached, unless there is an outcome."""
    if not outcome.done():
        outcome.set_exception(commands.LogUnavailableError())


def _give_up_checks(batch: Sequence[_Pending]) -> None:
    for pending in batch:
        if pending.request is None:
            _give_up(pending.outcome)


def _is_new(outcome: commands.Receipt | Exception) -> bool:
    """Was something written? Neither for a refusal nor for a repeat."""
    return isinstance(outcome, commands.Receipt) and not outcome.is_repeat


def _requests(batch: Sequence[_Pending]) -> list[transaction.Request]:
    return [pending.request for pending in batch if pending.request is not None]
