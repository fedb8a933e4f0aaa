"""What is told to many is read, executed and written once.

Subscriptions that ask the same, by the same token, are told the same of an event.
"""

import asyncio
import collections
import json
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

import graphql
from graphql.pyutils import AwaitableOrValue
from strawberry.schema import schema as strawberry_schema

from app.graphql import rows

_T = TypeVar("_T")


def _always(_result: object) -> bool:
    return True


class Once:
    """Remembers the last results; those who want one under way wait for it together."""

    def __init__(self, *, remembered: int) -> None:
        self._most = remembered
        self._found: collections.OrderedDict[Hashable, asyncio.Task[Any]] = (
            collections.OrderedDict()
        )

    async def get(
        self,
        key: Hashable,
        find: Callable[[], Awaitable[_T]],
        *,
        is_remembered: Callable[[_T], bool] = _always,
    ) -> _T:
        """Return the result; errors are not remembered, and others only if they shall be."""
        task = self._found.get(key)
        if task is None:
            task = self._found[key] = asyncio.create_task(_found(find))
            task.add_done_callback(
                lambda done: self._forget(key, done, is_remembered=is_remembered)
            )
            if len(self._found) > self._most:
                self._found.popitem(last=False)
        if task.done():
            return cast("_T", task.result())
        # Who asked first may leave: the others still wait.
        result: _T = await asyncio.shield(task)
        return result

    def known(self, key: Hashable) -> Any:  # noqa: ANN401  whatever was found
        """Return what was found; None if nothing was, so far."""
        task = self._found.get(key)
        if task is None or not task.done():
            return None
        # One that failed a moment ago is not forgotten yet.
        return None if task.cancelled() or task.exception() is not None else task.result()

    def _forget(
        self, key: Hashable, task: asyncio.Task[Any], *, is_remembered: Callable[[Any], bool]
    ) -> None:
        is_useless = (
            task.cancelled() or task.exception() is not None or not is_remembered(task.result())
        )
        if is_useless and self._found.get(key) is task:
            del self._found[key]


class Span(NamedTuple):
    """The part of the log that something tells of."""

    after: int
    until: int


class Told(rows.Read):
    """A row that a subscription tells of a part of the log; knows the result made of it."""

    def __init__(self, row: Mapping[str, Any], *, span: Span) -> None:
        super().__init__(row)
        self.span = span
        self.result: graphql.ExecutionResult | None = None


class Data(dict[str, Any]):
    """The data of a result; knows its text, and what it tells of."""

    _text: str | None = None

    def __init__(self, data: Mapping[str, Any], *, span: Span) -> None:
        super().__init__(data)
        self.span = span

    @property
    def text(self) -> str:
        """The data as JSON."""
        if self._text is None:
            self._text = json.dumps(self, separators=(",", ":"))
        return self._text


class Executor(strawberry_schema.StrawberryGraphQLCoreExecutionContext):
    """Executes the same event of the same operation once."""

    def execute_operation(self, serially: bool | None = None) -> AwaitableOrValue[Any]:  # noqa: FBT001  as graphql-core declares it
        """Return the result, the known one if there is one."""
        told = self.root_value
        if not isinstance(told, Told):
            return super().execute_operation(serially)
        if told.result is None:
            result = super().execute_operation(serially)
            if not isinstance(result, graphql.ExecutionResult):
                return result
            if result.data is not None:
                result.data = Data(result.data, span=told.span)
            told.result = result
        return told.result


def written(value: Any) -> str:  # noqa: ANN401  any JSON
    """Return a value as JSON, with what was written before put in as it is."""
    if isinstance(value, Data):
        return value.text
    if isinstance(value, dict) and ("payload" in value or "data" in value):
        parts = (f"{json.dumps(key)}:{written(item)}" for key, item in value.items())
        return "{" + ",".join(parts) + "}"
    return json.dumps(value, separators=(",", ":"))


async def _found(find: Callable[[], Awaitable[_T]]) -> _T:
    return await find()
