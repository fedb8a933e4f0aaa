"""Load aggregates, let a command decide, and commit what they recorded, all or nothing."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from eventsourcing.domain import Aggregate

from app.application import missing, snapshots
from app.application.request import Request
from app.eventlog import command, kept, loading, log
from domain import (
    api_token,
    deployment,
    environment,
    errors,
    events,
    person,
    project,
    service_instance,
)
from domain.errors import RefusalCode

_logger = logging.getLogger(__name__)

_TRIES = 20
_PAUSE = 0.01  # seconds; doubled after each try, and jittered
_LONGEST_PAUSE = 0.2

_A = TypeVar("_A", bound=Aggregate)


class UnitOfWork:
    """The aggregates of one command, as they were loaded, and what it did to them.

    One that trusts what is kept takes it as it is, without a look at the log: its outcome is
    true only if the versions that it assumed turn out to be the last ones.
    """

    def __init__(self, *, event_log: log.EventLog, trusts_kept: bool = False) -> None:
        self._log = event_log
        self._trusts_kept = trusts_kept
        self._aggregates: dict[UUID, Aggregate] = {}
        self._first: loading.History | None = None
        self._assumed: dict[UUID, int] = {}

    @property
    def now(self) -> datetime:
        """The database's time when the first aggregate was loaded."""
        return self._begun.now

    @property
    def position(self) -> int:
        """The position of the log when the first aggregate was loaded."""
        return self._begun.position

    @property
    def epoch(self) -> int:
        """The epoch of the log when the first aggregate was loaded."""
        return self._begun.epoch

    async def begin(self) -> None:
        """Ask the log for time and position, if no aggregate was loaded yet."""
        if self._first is None:
            self._first = await self._log.load()

    async def project(self, project_id: UUID) -> project.Project:
        """Load a project. Raises PROJECT_NOT_FOUND."""
        return await self._load(project.Project, project_id)

    async def environment(self, environment_id: UUID) -> environment.Environment:
        """Load an environment. Raises ENVIRONMENT_NOT_FOUND, for a deleted one too."""
        found = await self._load(environment.Environment, environment_id)
        if found.is_deleted:
            raise missing.refusal(environment.Environment, environment_id)
        return found

    async def service(self, service_instance_id: UUID) -> service_instance.ServiceInstance:
        """Load a service instance. Raises SERVICE_NOT_FOUND."""
        return await self._load(service_instance.ServiceInstance, service_instance_id)

    async def services(self, ids: Iterable[UUID]) -> dict[UUID, service_instance.ServiceInstance]:
        """Load service instances in one go, in this order. Raises SERVICE_NOT_FOUND."""
        wanted = list(ids)
        await self._fetch(wanted)
        return {key: self._require(service_instance.ServiceInstance, key) for key in wanted}

    async def deployment(self, deployment_id: UUID) -> deployment.Deployment:
        """Load a deployment. Raises NO_DEPLOYMENT_IN_PROGRESS if there is none."""
        return await self._load(deployment.Deployment, deployment_id)

    async def token(self, token_id: UUID) -> api_token.ApiToken:
        """Load an API token. Raises TOKEN_NOT_FOUND."""
        return await self._load(api_token.ApiToken, token_id)

    async def person(self, person_id: UUID) -> person.Person | None:
        """Load a person; None for one that never signed up for anything."""
        await self._fetch([person_id])
        found = self._aggregates.get(person_id)
        return found if isinstance(found, person.Person) else None

    def add(self, aggregate: Aggregate) -> None:
        """Take in an aggregate that the command made."""
        self._aggregates[aggregate.id] = aggregate

    def collect(self) -> list[events.Event]:
        """Return what the command recorded, aggregate by aggregate."""
        return [
            event
            for aggregate in self._aggregates.values()
            for event in aggregate.collect_events()
            if isinstance(event, events.Event)
        ]

    @property
    def assumed(self) -> command.Assumed | None:
        """What must be so for the outcome to be true."""
        return command.Assumed(self._begun.epoch, self._assumed) if self._assumed else None

    async def is_true(self) -> bool:
        """Ask the log whether nothing followed on what was assumed."""
        if not self._assumed:
            return True
        history = await self._log.load(*self._assumed, known=self._assumed, folds=snapshots.KINDS)
        before, self._first = self._begun, history
        return history.epoch == before.epoch and not history.events and not history.snapshots

    def keep(self, recorded: Sequence[events.Event], *, position: int, command_id: UUID) -> None:
        """Keep the aggregates for the next command, now that all of it is recorded."""
        if self._first is None:
            return
        for aggregate in self._aggregates.values():
            if snapshots.is_due(aggregate, recorded):
                self._log.store(snapshots.taken(aggregate), command_id=command_id)
            self._log.keep.put(aggregate, position=position, epoch=self._first.epoch)

    @property
    def _begun(self) -> loading.History:
        if self._first is None:
            raise RuntimeError("there is no time yet: load an aggregate, or begin")
        return self._first

    async def _load(self, kind: type[_A], aggregate_id: UUID) -> _A:
        await self._fetch([aggregate_id])
        return self._require(kind, aggregate_id)

    async def _fetch(self, wanted: Iterable[UUID]) -> None:
        missing = [key for key in wanted if key not in self._aggregates]
        if not missing:
            return
        found = {key: it for key in missing if (it := self._log.keep.take(key)) is not None}
        if not (self._trusts_kept and len(found) == len(missing) and self._trust(found)):
            await self._read(missing, found)

    async def _read(self, ids: Sequence[UUID], found: dict[UUID, kept.Kept]) -> None:
        """Go on from what is kept in memory, else from snapshots, else from the first event."""
        known = {key: it.aggregate.version for key, it in found.items()}
        history = await self._log.load(*ids, known=known, folds=snapshots.KINDS)
        if any(
            it.position > history.position or it.epoch != history.epoch for it in found.values()
        ):
            # The log was restored: what is kept may never have happened.
            found, history = {}, await self._log.load(*ids, folds=snapshots.KINDS)
        self._first = self._first or history
        starts = {key: it.aggregate for key, it in found.items()}
        starts |= {key: snapshots.restored(it) for key, it in history.snapshots.items()}
        for key in ids:
            if key in starts or key in history.events:
                self._aggregates[key] = replay(history.events.get(key, ()), start=starts.get(key))

    def _trust(self, found: Mapping[UUID, kept.Kept]) -> bool:
        """Take what was kept as it is, if the time is known and the log is the same."""
        first = self._first or self._log.recent()
        if first is None or any(it.epoch != first.epoch for it in found.values()):
            return False
        self._first = first
        for key, it in found.items():
            self._aggregates[key] = it.aggregate
            self._assumed[key] = it.aggregate.version
        return True

    def _require(self, kind: type[_A], aggregate_id: UUID) -> _A:
        found = self._aggregates.get(aggregate_id)
        if not isinstance(found, kind):
            raise missing.refusal(kind, aggregate_id)
        return found


def replay(recorded: Iterable[events.Event], *, start: Aggregate | None = None) -> Aggregate:
    """Return the aggregate that the events add up to; there is a start, or an event."""
    aggregate = start
    for event in recorded:
        aggregate = event.mutate(aggregate)
    if aggregate is None:
        raise ValueError("an aggregate begins with an event")
    return aggregate


def require_version(aggregate: Aggregate, expected: int | None) -> None:
    """Refuse with VERSION_CONFLICT if the caller saw another version than the current."""
    if expected is not None and expected != aggregate.version:
        raise errors.ConflictRefusedError(
            code=RefusalCode.VERSION_CONFLICT,
            message=f"It is at version {aggregate.version}, not {expected}: somebody changed it. "
            "Read it again.",
            current_version=aggregate.version,
        )


async def commit(
    *,
    event_log: log.EventLog,
    request: Request,
    decide: Callable[[UnitOfWork], Awaitable[None]],
) -> int:
    """Carry out a command and return its position in the log.

    A repeated idempotency key returns the first position and decides nothing. Somebody who was
    faster makes us decide again on what is true then, for some seconds at most: a project that
    many people add to at once must not refuse them for that.

    Raises UnprovenError for a remembered caller that no admission has proven.
    """
    if request.caller is not None:
        request.caller.require_proven()
    first = await _first_time(event_log, request)
    if first is not None:
        return first
    for attempt in range(_TRIES):
        work = UnitOfWork(event_log=event_log, trusts_kept=attempt == 0)
        try:
            position = await _attempt(event_log, request, decide, work)
        except command.VersionConflictError:
            _logger.debug("conflict in %s, attempt %d", request.name, attempt + 1)
            if work.assumed is None:
                pause = min(_PAUSE * 2**attempt, _LONGEST_PAUSE)
                await asyncio.sleep(pause * random.random())  # noqa: S311  no secret
        else:
            if position is not None:
                return position
    raise errors.ConflictRefusedError(
        code=RefusalCode.VERSION_CONFLICT,
        message="Others keep changing it at the same time. Nothing was done: send it again.",
    )


async def _attempt(
    event_log: log.EventLog,
    request: Request,
    decide: Callable[[UnitOfWork], Awaitable[None]],
    work: UnitOfWork,
) -> int | None:
    """Decide and record, and return the position; None if what was assumed is not true."""
    try:
        await decide(work)
    except errors.RefusedError:
        # The same command, sent twice at once, may meet what its twin has just done.
        first = await _first_time(event_log, request)
        if first is None and await work.is_true():
            raise
        return first
    recorded = work.collect()
    if not recorded and request.idempotency_key is None:
        if not await work.is_true():
            return None
        await work.begin()
        return work.position
    try:
        receipt = await event_log.append(
            command=request.as_command(), events=recorded, assumed=work.assumed
        )
    except command.CommandReusedError as error:
        raise _key_reused() from error
    if not receipt.is_repeat:
        work.keep(recorded, position=receipt.last_position, command_id=request.command_id)
    return receipt.last_position


async def _first_time(event_log: log.EventLog, request: Request) -> int | None:
    """Return the position that the key got when it was first used; None if it is new."""
    if request.idempotency_key is None:
        return None
    first = await event_log.find(request.command_id)
    if first is None:
        return None
    if first.fingerprint != request.as_command().fingerprint:
        raise _key_reused()
    return first.receipt.last_position


def _key_reused() -> errors.ConflictRefusedError:
    return errors.ConflictRefusedError(
        code=RefusalCode.IDEMPOTENCY_KEY_REUSED,
        message="This idempotency key was used for another command. Use a new one.",
    )
