"""Subscriptions that ask the same, by the same caller, are told together.

Each begins by itself, and reads until it has caught up with the log. There it joins the group of
those who wait for the same: one task reads each event, writes it once, and hands it to all. Whoever
cannot take what is told, or may do other things than before, leaves the group, and reads by itself
again from where it was.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

import strawberry
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from app import cancellation
from app.access import caller
from app.eventlog import tail
from app.graphql import context, operations, replies, sharing

Results: TypeAlias = AsyncGenerator[ExecutionResult, None]
_Told: TypeAlias = tuple[sharing.Span, bytes]

_MOST = 100  # results that wait to be told
_AT_ONCE = 50  # members, until others get their turn
_PAUSES = 3  # times what telling took
_LONGEST_PAUSE = 0.1  # seconds


class Listener(Protocol):
    """Whoever is told."""

    def take(self, payloads: Sequence[bytes]) -> bool:
        """Take payloads without waiting; return whether there may be more."""

    async def drained(self) -> None:
        """Wait until there may be more."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """The operation, as it came."""

    query: str
    variables: Mapping[str, Any] | None
    name: str | None
    may_be: frozenset[OperationType] | None = None
    """Of which types; of any if None."""


@dataclasses.dataclass(frozen=True)
class _Key:
    operation: tuple[str, str | None]
    variables: str
    who: caller.Caller | None


class _Member:
    """One of those who are told."""

    def __init__(self, cursor: tail.Cursor, listener: Listener) -> None:
        self.cursor = cursor
        self._listener = listener
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(self, told: Sequence[_Told]) -> None:
        """Hand on what it does not know yet."""
        news = [text for span, text in told if span.after >= self.cursor.after]
        if news and not self.left.done():
            self.cursor.after = told[-1][0].until
            if not self._listener.take(news):
                self.leave()

    def leave(self, *, passed: int | None = None) -> None:
        """Let it go on by itself, if not told yet, from the position that was passed."""
        if not self.left.done():
            self.cursor.after = max(self.cursor.after, passed or 0)
            self.left.set_result(None)


class _Group:
    """Those who are told the same; reads as long as there is one."""

    def __init__(self, results: Results, cursor: tail.Cursor) -> None:
        self._results = results
        self._cursor = cursor
        self._members: set[_Member] = set()
        self._due: list[_Told] = []
        self._telling: asyncio.Task[None] | None = None
        self._reading = asyncio.create_task(self._read())
        self.is_over = False
        self.told = cursor.after
        self.seen = cursor.seen

    def __len__(self) -> int:
        return len(self._members)

    @contextlib.asynccontextmanager
    async def joined(self, member: _Member) -> AsyncGenerator[None, None]:
        """Tell a member, which knows as much as all others."""
        self._members.add(member)
        try:
            yield
        finally:
            self._members.discard(member)
            if not self._members:
                self.end()
                await cancellation.end(self._reading)

    def end(self) -> None:
        """Let all go on by themselves; what none of them wanted need not be read again."""
        self.is_over = True
        is_told = self._telling is None and not self._due and self._cursor.seen == self.seen
        for member in self._members:
            member.leave(passed=self._cursor.after if is_told else None)

    async def _read(self) -> None:
        try:
            async with contextlib.aclosing(self._results):
                async for result in self._results:
                    # Whatever is wrong, also with the log, each finds by itself.
                    data = result.data
                    if not isinstance(data, sharing.Data) or self._cursor.seen != self.seen:
                        return
                    text = sharing.written(replies.formatted(result)).encode()
                    self._due.append((data.span, text))
                    if self._telling is None:
                        self._telling = asyncio.create_task(self._tell())
                    elif len(self._due) >= _MOST:
                        await asyncio.shield(self._telling)
        finally:
            self.end()

    async def _tell(self) -> None:
        """Tell all that is due, then pause: a large group is told several results at once.

        What is told costs little more than the system call that sends it, whatever it holds.
        """
        clock = asyncio.get_running_loop().time
        try:
            while self._due and not self.is_over:
                begin = clock()
                told, self._due = self._due, []
                self.told = told[-1][0].until
                for number, member in enumerate(tuple(self._members), start=1):
                    member.tell(told)
                    if number % _AT_ONCE == 0:
                        await asyncio.sleep(0)
                await asyncio.sleep(min(_PAUSES * (clock() - begin), _LONGEST_PAUSE))
        except Exception:
            self.end()
            raise
        finally:
            self._telling = None


class Groups:
    """The groups of this process."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self._schema = schema
        self._groups: dict[_Key, _Group] = {}

    def __len__(self) -> int:
        """Return how many are told by a group."""
        return sum(map(len, self._groups.values()))

    async def results(self, asked: Asked, *, who: context.Context, listener: Listener) -> Results:
        """Yield what an operation is told by itself; the listener takes what its group is told."""
        cursor: tail.Cursor | None = None
        while True:
            root = operations.Operation(cursor=cursor, stays=False)
            async with contextlib.aclosing(self._alone(asked, who, root)) as alone:
                async for result in alone:
                    yield result
            cursor = root.cursor
            if cursor is None or not cursor.has_caught_up:
                return
            cursor.has_caught_up = False  # when it has left the group
            await listener.drained()
            key = _Key(root.key, root.given, who.caller)
            await self._join(key, asked, who, _Member(cursor, listener))

    def renew(self, found: caller.Caller) -> None:
        """End the groups of a caller who may do other things now."""
        for key, group in self._groups.items():
            if key.who is not None and key.who.token_id == found.token_id and key.who != found:
                group.end()

    async def _join(self, key: _Key, asked: Asked, who: context.Context, member: _Member) -> None:
        """Let a group tell the member, as long as it can take it."""
        group = self._groups.get(key)
        if group is not None and group.seen != member.cursor.seen:
            group.end()
        if group is None or group.is_over:
            cursor = dataclasses.replace(member.cursor, stays=True)
            asking = dataclasses.replace(who, token=None)  # whose caller stays the same
            results = self._alone(asked, asking, operations.Operation(cursor=cursor))
            group = self._groups[key] = _Group(results, cursor)
        if group.told > member.cursor.after:
            return  # there is more to read alone
        try:
            async with group.joined(member):
                await member.left
        finally:
            if group.is_over and self._groups.get(key) is group:
                del self._groups[key]

    async def _alone(
        self, asked: Asked, who: context.Context, root: operations.Operation
    ) -> Results:
        results = await self._schema.stream(
            asked.query,
            variable_values=cast("dict[str, Any] | None", asked.variables),
            operation_name=asked.name,
            context_value=who,
            root_value=root,
            allowed_operation_types=asked.may_be,
        )
        async with contextlib.aclosing(cast("Results", results)) as source:
            async for result in source:
                yield result
