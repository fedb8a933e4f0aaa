"""What happens from now on."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, cast

import strawberry

from app.eventlog import epochs, tail
from app.graphql import context, following, identifiers, source, streams
from app.graphql.compiler import filtering
from app.graphql.types import filters
from app.graphql.types.audit import AuditEvent, AuditProgress
from app.graphql.types.deployments import Deployment
from app.graphql.types.scalars import Position
from app.graphql.types.service_instances import ServiceInstance
from domain import events
from projections import projection

_INSTANCE = filtering.Followed(
    on="{there}.id = {event}::uuid AND {there}.environment_id = {environment}::uuid",
    given={"environment": source.id_of("Environment", "environment")},
)
_DEPLOYMENT = filtering.Followed(on="{there}.id = {event}::uuid")
_EVENT = filtering.Followed(on="{there}.position = {event}::int8", filters=filters.EVENTS)

_SILENCE = 5.0  # seconds


async def _service_instance_changes(
    info: context.Info,
    environment: Annotated[
        strawberry.ID, strawberry.argument(description="The id of the environment.")
    ],
) -> AsyncIterator[ServiceInstance]:
    place = identifiers.uuid_of(environment, type_name="Environment")
    if place is None:
        return
    places = info.context.reader.places

    def may_be_here(recorded: projection.RecordedEvent) -> bool:
        service = recorded.event.originator_id
        return events.is_service_event(recorded.event) and (places.known(service) in (place, None))

    cursor = await following.cursor(info, info.context.event_log.head)
    async with _followed(info, cursor, may_be_here) as recorded:
        async for each in recorded:
            service = each.event.originator_id
            if await places.environment_of(service) == place:
                answer = await following.read(info, service, at=each.position)
                if answer is not None:
                    yield answer


async def _deployment_changes(
    info: context.Info,
    id: Annotated[  # noqa: A002  the name that clients use
        strawberry.ID, strawberry.argument(description="The id of the deployment.")
    ],
) -> AsyncIterator[Deployment]:
    wanted = identifiers.uuid_of(id, type_name="Deployment")
    if wanted is None:
        return

    def is_wanted(recorded: projection.RecordedEvent) -> bool:
        return recorded.event.originator_id == wanted

    is_new = following.is_new(info)
    cursor = await following.cursor(info, info.context.event_log.head)
    async with _followed(info, cursor, is_wanted) as recorded:
        if is_new:
            now = await following.read(info, wanted, at=await info.context.event_log.head())
            if now is None:
                return
            yield now
        async for each in recorded:
            answer = await following.read(info, wanted, at=each.position)
            if answer is not None:
                yield answer


_After = Annotated[
    Position | None,
    strawberry.argument(description="Begin after this position; now if not given."),
]
_Filter = Annotated[
    filters.AuditEventFilter | None,
    strawberry.argument(description="Which ones; all if not given."),
]


async def _audit_events(
    info: context.Info,
    after: _After = strawberry.UNSET,
    filter: _Filter = strawberry.UNSET,  # noqa: A002  the name that clients use
) -> AsyncIterator[AuditEvent]:
    cursor = await _start(info, after)
    wanted = following.Wanted.of(filter or None)
    async with _followed(info, cursor, wanted.may_be) as recorded:
        async for each in recorded:
            answer = await following.read(info, each.position, at=each.position)
            if answer is not None:
                yield answer


async def _audit_progress(
    info: context.Info,
    after: _After = strawberry.UNSET,
    filter: _Filter = strawberry.UNSET,  # noqa: A002  the name that clients use
) -> AsyncIterator[AuditProgress]:
    loop = asyncio.get_running_loop()
    cursor = await _start(info, after)
    wanted = following.Wanted.of(filter or None)
    told_at = loop.time()
    matching = info.context.event_log.follow(after=cursor, wanted=wanted.may_be)
    async with contextlib.aclosing(streams.with_silence(matching, seconds=_SILENCE)) as recorded:
        async for each in recorded:
            answer = None
            if each is not None:
                answer = await following.read(info, each.position, at=each.position)
            if answer is None and loop.time() - told_at >= _SILENCE:
                answer = following.silence(info, at=each.position if each else cursor.after)
            if answer is not None:
                yield answer
                told_at = loop.time()


async def _start(info: context.Info, after: Position | None) -> tail.Cursor:
    """Return where to begin. Raises LogDivergedError."""
    event_log = info.context.event_log
    if isinstance(after, epochs.Place):
        return await following.cursor(info, functools.partial(event_log.common_position, after))
    return await following.cursor(info, event_log.head)


def _followed(
    info: context.Info, cursor: tail.Cursor, wanted: Callable[[projection.RecordedEvent], bool]
) -> "contextlib.aclosing[AsyncGenerator[projection.RecordedEvent, None]]":
    events_ = info.context.event_log.follow(after=cursor, wanted=wanted)
    return contextlib.aclosing(cast("AsyncGenerator[projection.RecordedEvent, None]", events_))


def _stream(
    resolver: Callable[..., object], read: filtering.Followed, description: str
) -> source.Field:
    return strawberry.subscription(
        resolver=resolver, description=description, metadata={"source": read}
    )


@strawberry.type(
    description="What happens, as it happens: over a WebSocket or as Server-Sent Events."
)
class Subscription:
    """What happens, as it happens."""

    service_instance_changes: ServiceInstance = _stream(
        _service_instance_changes,
        _INSTANCE,
        "The service instances of an environment, each after every change of it.",
    )
    deployment_changes: Deployment = _stream(
        _deployment_changes,
        _DEPLOYMENT,
        "A deployment as it is now, then after every change of it, step by step.",
    )
    audit_events: AuditEvent = _stream(
        _audit_events,
        _EVENT,
        "The log: what happened after a position, then what happens, without a hole and without"
        " a repeat.",
    )
    audit_progress: AuditProgress = _stream(
        _audit_progress,
        _EVENT,
        "The same with the position beside each event, and every few seconds how far the log has"
        " come though nothing matched: a consumer that was away for long need not read it again.",
    )
