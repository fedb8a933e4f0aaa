"""What happens from now on."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.graphql import context, following, identifiers, source
from app.graphql.compiler import connections
from app.graphql.types import audit, filters
from app.graphql.types.scalars import Position
from app.graphql.types.service_instances import ServiceInstance
from domain import events

_INSTANCE = connections.Followed(
    on="{there}.id = {event}::uuid AND {there}.environment_id = {environment}::uuid",
    given={"environment": source.id_of("Environment", "environment")},
)
_EVENT = connections.Followed(on="{there}.position = {event}::int8", filters=filters.EVENTS)


@strawberry.type(description="What happens from now on, over a WebSocket.")
class Subscription:
    """What happens from now on."""

    @strawberry.subscription(
        description="The service instances of an environment, each after every change of it.",
        metadata={"source": _INSTANCE},
    )
    async def service_instance_changes(
        self,
        info: context.Info,
        environment: Annotated[
            strawberry.ID, strawberry.argument(description="The id of the environment.")
        ],
    ) -> AsyncIterator[ServiceInstance]:
        """Yield the instances that change."""
        if identifiers.uuid_of(environment, type_name="Environment") is None:
            return
        head = await info.context.event_log.head()
        async with contextlib.aclosing(info.context.event_log.follow(after=head)) as recorded:
            async for each in recorded:
                if isinstance(each.event, events.ServiceEvent):
                    answer = await following.read(info, each.event.originator_id)
                    if answer is not None:
                        yield answer

    @strawberry.subscription(
        description="The log: what happened after a position, then what happens, without a hole"
        " and without a repeat.",
        metadata={"source": _EVENT},
    )
    async def audit_events(
        self,
        info: context.Info,
        after: Annotated[
            Position | None,
            strawberry.argument(description="Begin after this position; now if not given."),
        ] = strawberry.UNSET,
        filter: Annotated[  # noqa: A002  the name that clients use
            filters.AuditEventFilter | None,
            strawberry.argument(description="Which ones; all if not given."),
        ] = strawberry.UNSET,
    ) -> AsyncIterator[audit.AuditEvent]:
        """Yield the events of the log."""
        log = info.context.event_log
        start = after if isinstance(after, int) else await log.head()
        wanted = following.Wanted.of(filter or None)
        async with contextlib.aclosing(log.follow(after=start)) as recorded:
            async for each in recorded:
                if wanted.may_be(each):
                    answer = await following.read(info, each.position)
                    if answer is not None:
                        yield answer
