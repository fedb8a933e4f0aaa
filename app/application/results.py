"""Use cases of the worker: what providers and the clock report of service instances.

A report that no longer fits is recorded or does nothing, as the aggregate decides; it is never
an error, since a worker may be late (R42).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from app.application import placement
from app.application.request import Request
from app.application.terms import Terms
from app.application.unit_of_work import UnitOfWork, commit
from app.eventlog import log
from domain import service_instance, states


class Results:
    """What providers and the clock report."""

    def __init__(self, *, event_log: log.EventLog, terms: Terms) -> None:
        self._log = event_log
        self._terms = terms

    async def provisioned(
        self, *, request: Request, service_instance_id: UUID, operation_id: UUID
    ) -> int:
        """Take in that the resource is there."""

        def report(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.record_provisioned(
                operation_id=operation_id,
                next_operation_id=request.new_id("next operation"),
                deadline=self._deadline(at),
                at=at,
            )

        return await self._take_in(request, service_instance_id, report)

    async def updated(
        self, *, request: Request, service_instance_id: UUID, operation_id: UUID
    ) -> int:
        """Take in that the new plan and parameters are in force."""

        def report(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.record_updated(operation_id=operation_id, at=at)

        return await self._take_in(request, service_instance_id, report)

    async def rotated(
        self,
        *,
        request: Request,
        service_instance_id: UUID,
        operation_id: UUID,
        secret_version: int,
    ) -> int:
        """Take in that a new version of the credentials is valid."""

        def report(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.record_rotated(operation_id=operation_id, secret_version=secret_version, at=at)

        return await self._take_in(request, service_instance_id, report)

    async def revoked(
        self, *, request: Request, service_instance_id: UUID, secret_version: int
    ) -> int:
        """Take in that a version of the credentials is valid no more."""

        def report(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.record_revoked(secret_version=secret_version, at=at)

        return await self._take_in(request, service_instance_id, report)

    async def gone(self, *, request: Request, service_instance_id: UUID, operation_id: UUID) -> int:
        """Take in that the resource is gone, or was never there."""

        def report(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.record_gone(operation_id=operation_id, at=at)

        return await self._take_in(request, service_instance_id, report)

    async def delayed(
        self,
        *,
        request: Request,
        service_instance_id: UUID,
        operation_id: UUID,
        attempt: int,
        code: str,
        message: str,
        pause: timedelta,
    ) -> int:
        """Take in that an attempt failed for a passing reason; try again after the pause."""

        def report(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.record_delay(
                operation_id=operation_id,
                attempt=attempt,
                code=code,
                message=message,
                next_attempt_at=at + pause,
                at=at,
            )

        return await self._take_in(request, service_instance_id, report)

    async def failed(
        self,
        *,
        request: Request,
        service_instance_id: UUID,
        operation_id: UUID,
        attempt: int,
        code: str,
        message: str,
    ) -> int:
        """Take in that an attempt failed for good; one that another has followed says nothing."""

        def report(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.record_failure(
                operation_id=operation_id,
                attempt=attempt,
                code=code,
                message=message,
                next_operation_id=request.new_id("next operation"),
                deadline=self._deadline(at),
                at=at,
            )

        return await self._take_in(request, service_instance_id, report)

    async def expire_operation(
        self, *, request: Request, service_instance_id: UUID, operation_id: UUID
    ) -> int:
        """Fail an operation whose deadline has come (R40)."""

        def report(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.expire_operation(
                operation_id=operation_id,
                next_operation_id=request.new_id("next operation"),
                deadline=self._deadline(at),
                at=at,
            )

        return await self._take_in(request, service_instance_id, report)

    async def start_scheduled_removal(self, *, request: Request, service_instance_id: UUID) -> int:
        """Start a removal whose grace period is over (R26)."""

        def report(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.start_scheduled_removal(
                operation_id=request.new_id("operation"), deadline=self._deadline(at), at=at
            )

        return await self._take_in(request, service_instance_id, report)

    async def retry_removal(self, *, request: Request, service_instance_id: UUID) -> int:
        """Try a failed removal again, if its time has come (R26)."""

        def report(found: service_instance.ServiceInstance, at: datetime) -> None:
            found.retry_removal(
                operation_id=request.new_id("operation"), deadline=self._deadline(at), at=at
            )

        return await self._take_in(request, service_instance_id, report)

    async def _take_in(
        self,
        request: Request,
        service_instance_id: UUID,
        report: Callable[[service_instance.ServiceInstance, datetime], None],
    ) -> int:
        async def decide(work: UnitOfWork) -> None:
            found = await work.service(service_instance_id)
            was_gone = found.facts.resource is states.Resource.GONE
            report(found, work.now)
            if found.facts.resource is states.Resource.GONE and not was_gone:
                await placement.free(work, found)

        return await commit(event_log=self._log, request=request, decide=decide)

    def _deadline(self, at: datetime) -> datetime:
        return at + self._terms.operation_timeout
