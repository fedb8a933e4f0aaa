"""A service instance: one offering in one environment, from its addition to its removal."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain import events, service_facts, service_fold, service_refusals, values
from domain.errors import RefusalCode
from domain.states import Command, Resource, Situation

DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"

_FIRST_RETRY = timedelta(seconds=10)
_LONGEST_RETRY = timedelta(hours=1)


class ServiceInstance(Aggregate):
    """The commands of a service instance, and the results of its provider.

    Every command either records what it changes, or raises a refusal and changes nothing, or
    finds itself in effect already and does neither (section 1 of the rules).
    """

    TOPIC: ClassVar[str] = "ServiceInstance"
    fold_version: ClassVar[int] = 2  # raised when `apply` or what it assigns changes
    Event = events.Event
    Created = events.ServiceAdded

    def __init__(self) -> None:
        self.facts: service_facts.ServiceFacts  # comes with the first event, by `apply`

    @classmethod
    def add(  # noqa: PLR0913  what an instance is made of is said once, here
        cls,
        *,
        service_instance_id: UUID,
        project_id: UUID,
        environment_id: UUID,
        environment_name: str,
        offering: str,
        kind: values.ServiceKind,
        plan: str,
        region: str,
        parameters: dict[str, Any],
        prefix: str,
        variable_names: tuple[str, ...],
        protected: bool,
        at: datetime,
    ) -> Self:
        """Add an instance; nothing is provisioned by this (R16)."""
        return cls._create(
            events.ServiceAdded,
            id=service_instance_id,
            timestamp=at,
            project_id=project_id,
            environment_id=environment_id,
            environment_name=environment_name,
            offering=offering,
            kind=kind,
            plan=plan,
            region=region,
            parameters=parameters,
            prefix=prefix,
            variable_names=variable_names,
            protected=protected,
        )

    def apply(self, event: events.Event) -> None:
        """Take an event in, new or replayed."""
        if isinstance(event, events.ServiceAdded):
            self.facts = service_fold.begin(event)
        else:
            self.facts = service_fold.evolve(event, self.facts)

    # What people ask for.

    def request_provisioning(self, *, operation_id: UUID, deadline: datetime, at: datetime) -> None:
        """Ask the provider for the resource (R18); in effect already once it was asked."""
        service_refusals.require(self.facts, Command.PROVISION)
        if self.facts.situation in {Situation.NEW_UNSENT, Situation.NEW_FAILED}:
            before = self.facts.operation
            self._record(
                events.ServiceProvisioningStarted,
                at=at,
                operation_id=operation_id,
                attempt=before.attempt + 1 if before else 1,
                deadline=deadline,
            )

    def request_attachment(self, *, at: datetime) -> None:
        """Want it in the next revision (R19)."""
        service_refusals.require(self.facts, Command.ATTACH)
        if not self.facts.wanted:
            self._record(events.ServiceAttachmentRequested, at=at)

    def request_detachment(self, *, at: datetime) -> None:
        """Want it out of the next revision; destroys nothing (R20 to R22)."""
        service_refusals.require(self.facts, Command.DETACH)
        if self.facts.wanted:
            self._record(events.ServiceDetachmentRequested, at=at)

    def rename_prefix(self, *, prefix: str, variable_names: tuple[str, ...], at: datetime) -> None:
        """Use another prefix from the next deployment on (R10)."""
        service_refusals.require(self.facts, Command.RENAME)
        if prefix != self.facts.prefix:
            self._record(
                events.ServicePrefixRenamed, at=at, prefix=prefix, variable_names=variable_names
            )

    def configure(
        self,
        *,
        plan: str,
        parameters: dict[str, Any],
        operation_id: UUID,
        deadline: datetime,
        at: datetime,
    ) -> None:
        """Want another plan or parameters: at once if ready, else when provisioned.

        Raises NOT_READY while another operation is under way on the ready resource (R39).
        """
        service_refusals.require(self.facts, Command.CONFIGURE)
        facts = self.facts
        wanted_plan = facts.plan if facts.next_plan is None else facts.next_plan
        wanted = facts.parameters if facts.next_parameters is None else facts.next_parameters
        if (plan, parameters) == (wanted_plan, wanted):
            return
        if not facts.is_functional:
            self._record(events.ServiceConfigured, at=at, plan=plan, parameters=parameters)
            return
        service_refusals.require_idle(self.facts, Command.CONFIGURE)
        self._record(
            events.ServiceUpdateStarted,
            at=at,
            operation_id=operation_id,
            plan=plan,
            parameters=parameters,
            deadline=deadline,
        )

    def rotate_credentials(self, *, operation_id: UUID, deadline: datetime, at: datetime) -> None:
        """Ask for new credentials beside the old ones.

        Raises NOT_READY while another operation is under way (R39).
        """
        service_refusals.require(self.facts, Command.ROTATE)
        operation = self.facts.operation
        if operation and operation.is_in_progress and operation.kind is values.OperationKind.ROTATE:
            return
        service_refusals.require_idle(self.facts, Command.ROTATE)
        self._record(
            events.ServiceRotationStarted,
            at=at,
            operation_id=operation_id,
            secret_version=self.facts.secret_version + 1,
            deadline=deadline,
        )

    def reveal_credentials(self, *, reason: str, at: datetime) -> None:
        """Record that somebody is about to see the credentials, and why (R46)."""
        service_refusals.require(self.facts, Command.REVEAL)
        self._record(
            events.ServiceCredentialsRevealed,
            at=at,
            secret_version=self.facts.secret_version,
            reason=reason,
        )

    def change_protection(self, *, protected: bool, at: datetime) -> None:
        """Guard the instance against removal, or no longer."""
        service_refusals.require(self.facts, Command.PROTECT)
        if protected != self.facts.protected:
            self._record(events.ServiceProtectionChanged, at=at, protected=protected)

    def remove(
        self,
        *,
        confirmation: str | None,
        operation_id: UUID,
        deadline: datetime,
        grace: timedelta,
        at: datetime,
    ) -> None:
        """Remove the instance for good (R23 to R27).

        One for which no provider was ever asked goes at once. Any other wants
        `confirmation` equal to its label and its protection off. Without `grace` removal
        starts now, or when provisioning settles. After a failure it is tried again.
        """
        service_refusals.require(self.facts, Command.REMOVE)
        service_refusals.require_no_deployment(self.facts, Command.REMOVE)
        match self.facts.situation:
            case Situation.NEW_UNSENT:
                self._record(events.ServiceRemoved, at=at)
            case Situation.REMOVAL_FAILED:
                self._start_removal(operation_id=operation_id, deadline=deadline, at=at)
            case Situation.REMOVAL_PENDING | Situation.REMOVING | Situation.REMOVED:
                return
            case _:
                service_refusals.require_consent(self.facts, confirmation)
                self._accept_removal(
                    operation_id=operation_id, deadline=deadline, grace=grace, at=at
                )

    def cancel_removal(self, *, at: datetime) -> None:
        """Call a removal off before the end of its grace period (R26)."""
        service_refusals.require(self.facts, Command.CANCEL_REMOVAL)
        ends_at = self.facts.removal_scheduled_for
        if ends_at is None or at >= ends_at:
            raise service_refusals.refused(
                self.facts, RefusalCode.NOTHING_TO_CANCEL, Command.CANCEL_REMOVAL
            )
        self._record(events.ServiceRemovalCancelled, at=at)

    def abandon(self, *, reason: str, at: datetime) -> None:
        """Give up a removal that failed, and list the resource as an orphan (R28)."""
        service_refusals.require_no_deployment(self.facts, Command.ABANDON)
        service_refusals.require(self.facts, Command.ABANDON)
        if self.facts.situation is Situation.REMOVAL_FAILED:
            self._record(events.ServiceAbandoned, at=at, reason=reason)

    # What the clock brings.

    def start_scheduled_removal(
        self, *, operation_id: UUID, deadline: datetime, at: datetime
    ) -> None:
        """Start a removal whose grace period is over; nothing if there is none to start."""
        facts = self.facts
        is_due = facts.removal_scheduled_for is not None and at >= facts.removal_scheduled_for
        if facts.situation is Situation.REMOVAL_PENDING and is_due:
            self._settle_removal(operation_id=operation_id, deadline=deadline, at=at)

    def retry_removal(self, *, operation_id: UUID, deadline: datetime, at: datetime) -> None:
        """Try a failed removal again once its time has come; nothing otherwise."""
        operation = self.facts.operation
        retry_at = operation.next_attempt_at if operation else None
        if self.facts.situation is Situation.REMOVAL_FAILED and retry_at and at >= retry_at:
            self._start_removal(operation_id=operation_id, deadline=deadline, at=at)

    def expire_operation(
        self, *, operation_id: UUID, next_operation_id: UUID, deadline: datetime, at: datetime
    ) -> None:
        """Fail the operation if it is past its deadline (R40); nothing otherwise.

        `next_operation_id` and `deadline` are for a removal that waited for it.
        """
        operation = self._current(operation_id)
        if operation is not None and at >= operation.deadline:
            self.record_failure(
                operation_id=operation_id,
                attempt=operation.attempt,
                code=DEADLINE_EXCEEDED,
                message="The provider did not finish in time.",
                next_operation_id=next_operation_id,
                deadline=deadline,
                at=at,
            )

    # What the provider answers.

    def record_provisioned(
        self,
        *,
        operation_id: UUID,
        next_operation_id: UUID,
        deadline: datetime,
        at: datetime,
    ) -> None:
        """Take in that the resource is there.

        A late success is adopted while the instance is new; one that meets a removal is
        recorded and changes nothing; one that meets a removed instance starts a clean-up
        (R41, R42). `next_operation_id` and `deadline` are for what waited: a removal, or an
        update of plan or parameters.
        """
        match self.facts.resource:
            case Resource.READY:
                return
            case Resource.CREATING if self._current(operation_id) is None:
                self._ignore(operation_id, "provisioned", at=at)
            case Resource.DELETING:
                self._ignore(operation_id, "provisioned", at=at)
            case Resource.GONE:
                self._ignore(operation_id, "provisioned", at=at)
                self._record(events.ServiceCleanupStarted, at=at)
            case Resource.CREATING | Resource.ABSENT:
                is_late = self.facts.resource is Resource.ABSENT
                self._record(
                    events.ServiceProvisioned,
                    at=at,
                    operation_id=operation_id,
                    secret_version=1,
                    is_late=is_late,
                )
                self._settle(operation_id=next_operation_id, deadline=deadline, at=at)

    def record_updated(self, *, operation_id: UUID, at: datetime) -> None:
        """Take in that the new plan and parameters are in force."""
        if self._current(operation_id) is None:
            self._ignore(operation_id, "updated", at=at)
        else:
            self._record(events.ServiceUpdated, at=at, operation_id=operation_id)

    def record_rotated(self, *, operation_id: UUID, secret_version: int, at: datetime) -> None:
        """Take in that new credentials are valid."""
        if self._current(operation_id) is None:
            self._ignore(operation_id, "rotated", at=at)
        else:
            self._record(
                events.ServiceCredentialsRotated,
                at=at,
                operation_id=operation_id,
                secret_version=secret_version,
            )

    def record_revoked(self, *, secret_version: int, at: datetime) -> None:
        """Take in that a version of the credentials is valid no more."""
        if secret_version in self.facts.unused_secret_versions:
            self._record(events.ServiceCredentialsRevoked, at=at, secret_version=secret_version)

    def record_gone(self, *, operation_id: UUID, at: datetime) -> None:
        """Take in that the resource is gone, or was not there."""
        if self.facts.resource is Resource.DELETING:
            self._record(events.ServiceRemoved, at=at)
        elif self.facts.resource is not Resource.GONE:
            self._ignore(operation_id, "gone", at=at)

    def record_delay(
        self,
        *,
        operation_id: UUID,
        attempt: int,
        code: str,
        message: str,
        next_attempt_at: datetime,
        at: datetime,
    ) -> None:
        """Take in that an attempt failed for a passing reason, and when the next one is."""
        operation = self._current(operation_id)
        if operation is not None and operation.attempt == attempt:
            self._record(
                events.ServiceOperationDelayed,
                at=at,
                operation_id=operation_id,
                attempt=attempt + 1,
                code=code,
                message=message,
                next_attempt_at=next_attempt_at,
            )

    def record_failure(
        self,
        *,
        operation_id: UUID,
        attempt: int,
        code: str,
        message: str,
        next_operation_id: UUID,
        deadline: datetime,
        at: datetime,
    ) -> None:
        """Take in that the operation failed for good; a removal is tried again later.

        An attempt that another one has followed says nothing of the operation.
        """
        operation = self._current(operation_id)
        if operation is None or operation.attempt != attempt:
            self._ignore(operation_id, f"failed: {code}", at=at)
            return
        failure = {"operation_id": operation_id, "code": code, "message": message}
        match operation.kind:
            case values.OperationKind.PROVISION:
                self._record(events.ServiceProvisioningFailed, at=at, **failure)
                self._settle(operation_id=next_operation_id, deadline=deadline, at=at)
            case values.OperationKind.UPDATE:
                self._record(events.ServiceUpdateFailed, at=at, **failure)
            case values.OperationKind.ROTATE:
                self._record(
                    events.ServiceRotationFailed, at=at, **failure, retry_at=self._renewal_at(at)
                )
            case values.OperationKind.REMOVE:
                retry_at = at + _retry_delay(self.facts.removal_attempts)
                self._record(events.ServiceRemovalFailed, at=at, **failure, retry_at=retry_at)

    # What a deployment does.

    def join_deployment(
        self, *, deployment_id: UUID, role: values.DeploymentRole, at: datetime
    ) -> None:
        """Be held by a deployment that attaches or detaches it (R32)."""
        self._record(events.ServiceDeploymentJoined, at=at, deployment_id=deployment_id, role=role)

    def take_effect(
        self, *, deployment_id: UUID, revision: int, item: events.SnapshotItem, at: datetime
    ) -> None:
        """Be as the new revision has it (R35); an unchanged instance records nothing."""
        if item.role is values.DeploymentRole.DETACH:
            self._record(
                events.ServiceDetached, at=at, deployment_id=deployment_id, revision=revision
            )
            return
        applied: dict[str, Any] = {
            "deployment_id": deployment_id,
            "revision": revision,
            "prefix": item.prefix,
            "variable_names": item.variable_names,
            "secret_version": item.secret_version,
        }
        if item.role is values.DeploymentRole.ATTACH:
            self._record(events.ServiceAttached, at=at, **applied)
        elif item.is_changed:
            self._record(events.ServiceConfigurationApplied, at=at, **applied)

    def leave_deployment(
        self,
        *,
        deployment_id: UUID,
        status: values.DeploymentStatus,
        reason: str,
        is_exposed: bool,
        at: datetime,
    ) -> None:
        """Be let go by a deployment that failed or was cancelled (R34)."""
        if self.facts.deployment_id == deployment_id:
            self._record(
                events.ServiceDeploymentLeft,
                at=at,
                deployment_id=deployment_id,
                role=self.facts.deployment_role,
                status=status,
                reason=reason,
                is_exposed=is_exposed,
            )

    # How it is done.

    def _record(self, event_class: type[events.Event], *, at: datetime, **data: Any) -> None:  # noqa: ANN401  an event's own fields
        self.trigger_event(event_class, timestamp=at, **data)

    def _current(self, operation_id: UUID) -> service_facts.Operation | None:
        """Return the operation if it is the one under way."""
        operation = self.facts.operation
        if operation and operation.is_in_progress and operation.id == operation_id:
            return operation
        return None

    def _ignore(self, operation_id: UUID, result: str, *, at: datetime) -> None:
        self._record(events.ServiceResultIgnored, at=at, operation_id=operation_id, result=result)

    def _renewal_at(self, at: datetime) -> datetime | None:
        """Return when to try again if an application has credentials that it should lose (R36).

        A rotation that somebody asked for is theirs to repeat.
        """
        if not self.facts.owes_renewal:
            return None
        return at + _retry_delay(self.facts.renewal_attempts + 1)

    def _settle(self, *, operation_id: UUID, deadline: datetime, at: datetime) -> None:
        """Go on with what waited for provisioning to end."""
        facts = self.facts
        is_in_grace = facts.removal_scheduled_for is not None and at < facts.removal_scheduled_for
        if facts.removal_requested and not is_in_grace:
            self._settle_removal(operation_id=operation_id, deadline=deadline, at=at)
        elif facts.resource is Resource.READY and facts.next_plan is not None:
            # in a grace period too: a cancelled removal leaves the plan that was asked for
            self._record(
                events.ServiceUpdateStarted,
                at=at,
                operation_id=operation_id,
                plan=facts.next_plan,
                parameters=facts.next_parameters,
                deadline=deadline,
            )

    def _settle_removal(self, *, operation_id: UUID, deadline: datetime, at: datetime) -> None:
        """Start the removal, unless provisioning has yet to end: that starts it then."""
        if self.facts.resource is not Resource.CREATING:
            self._start_removal(operation_id=operation_id, deadline=deadline, at=at)

    def _accept_removal(
        self, *, operation_id: UUID, deadline: datetime, grace: timedelta, at: datetime
    ) -> None:
        if grace > timedelta():
            self._record(events.ServiceRemovalRequested, at=at, scheduled_for=at + grace)
        elif self.facts.resource is Resource.CREATING:
            self._record(events.ServiceRemovalRequested, at=at, scheduled_for=None)
        else:
            self._start_removal(operation_id=operation_id, deadline=deadline, at=at)

    def _start_removal(self, *, operation_id: UUID, deadline: datetime, at: datetime) -> None:
        self._record(
            events.ServiceRemovalStarted,
            at=at,
            operation_id=operation_id,
            attempt=self.facts.removal_attempts + 1,
            deadline=deadline,
        )


def _retry_delay(attempts: int) -> timedelta:
    """Return how long to wait after so many failures: growing, at most an hour."""
    doublings = min(max(attempts - 1, 0), 16)
    return min(_FIRST_RETRY * (1 << doublings), _LONGEST_RETRY)
