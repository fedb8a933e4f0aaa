"""Reads what a subscription tells of an event, by one statement."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any, cast
from uuid import UUID

import graphql

from app.application import permissions
from app.eventlog import tail
from app.graphql import context, operations, sharing
from app.graphql.compiler import binding, selection
from app.graphql.types import filters
from projections import projection


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What can be told of an event without a query, so that most need none."""

    topics: frozenset[str] | None
    actor: str | None

    @classmethod
    def of(cls, asked: filters.AuditEventFilter | None) -> "Wanted":
        """Return what a filter wants."""
        topics = asked.events if asked else None
        return cls(
            topics=frozenset(topics) if topics else None,
            actor=(asked.actor or None) if asked else None,
        )

    def may_be(self, recorded: projection.RecordedEvent) -> bool:
        """Return false if the filter excludes the event for sure."""
        if self.topics is not None and recorded.event.TOPIC not in self.topics:
            return False
        return self.actor is None or recorded.actor == self.actor


def is_new(info: context.Info) -> bool:
    """Tell whether the subscription begins, or goes on."""
    operation: operations.Operation = info._raw_info.root_value  # noqa: SLF001  as below
    return operation.cursor is None


async def cursor(info: context.Info, begin: Callable[[], Awaitable[int]]) -> tail.Cursor:
    """Return where the subscription goes on; it begins after the position if it is new."""
    operation: operations.Operation = info._raw_info.root_value  # noqa: SLF001  as below
    if operation.cursor is None:
        operation.cursor = tail.Cursor(await begin(), stays=operation.stays)
    return operation.cursor


async def read(info: context.Info, event: UUID | int, *, at: int) -> Any:  # noqa: ANN401  a row stands for an object of the field's type
    """Return what is selected of the row that an event concerns; None if none is asked for.

    Whoever asks the same of the event at a position is answered by the same read; a later one too
    if the caller sees all: others may have left the project meanwhile. What a person wrote is read
    anew each time.
    """
    operation: operations.Operation = info._raw_info.root_value  # noqa: SLF001  as below
    place = info.context.event_log.place(at)
    key = (operation.key, operation.given, info.context.caller, event, place)
    sees_all = permissions.sees_all(info.context.caller)
    shared = info.context.reader.shared

    def is_remembered(told: sharing.Told | None) -> bool:
        return sees_all and (told is None or told.is_lasting)

    return await shared.get(key, lambda: _read(info, event, at=at), is_remembered=is_remembered)


def silence(info: context.Info, *, at: int) -> Any:  # noqa: ANN401  as above
    """Return the row that tells of a position, and of nothing there."""
    place = info.context.event_log.place(at)
    raw = info._raw_info  # noqa: SLF001  as below
    operation: operations.Operation = raw.root_value
    bound = binding.Binding(variables=operation.variables, caller=info.context.caller)
    selector = selection.Selector(
        schema=raw.schema, fragments=raw.fragments, ask=lambda question, **_: question(bound)
    )
    fields = selector.fields(
        type_=cast("graphql.GraphQLObjectType", graphql.get_named_type(raw.return_type)),
        selections=[node.selection_set for node in raw.field_nodes if node.selection_set],
        path=(),
    )
    return sharing.Told(
        {field.key: place if field.name == "position" else None for field in fields},
        span=sharing.Span(after=at, until=at),
    )


async def _read(info: context.Info, event: UUID | int, *, at: int) -> sharing.Told | None:
    raw = info._raw_info  # noqa: SLF001  strawberry shows less than graphql-core
    operation: operations.Operation = raw.root_value
    target = operations.root_target(
        schema=raw.schema,
        fragments=raw.fragments,
        operation=raw.operation,
        key=operation.key,
    )
    bound = binding.Binding(
        variables=operation.variables, caller=info.context.caller, given={"event": event}
    )
    # The caller may have left the Beta since this began.
    info.context.reader.require_readable(target=target, bound=bound)
    answer = await info.context.reader.read(target=target, bound=bound)
    row = answer[str(raw.path.key)]
    if row is None:
        return None
    told = sharing.Told(row, span=sharing.Span(after=at - 1, until=at))
    told.is_lasting = answer.is_lasting
    return told
