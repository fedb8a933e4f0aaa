"""The tables of states once more, written from the rules: what the domain is held against."""

import dataclasses
from datetime import datetime
from uuid import UUID

ABSENT, CREATING, READY, DELETING, GONE = "ABSENT", "CREATING", "READY", "DELETING", "GONE"


@dataclasses.dataclass
class Work:
    """An operation under way."""

    kind: str
    id: UUID
    deadline: datetime
    attempt: int = 1


@dataclasses.dataclass
class Model:
    """What is true of one instance."""

    kind: str
    prefix: str
    plan: str = "small"
    next_plan: str | None = None
    asked_plan: str | None = None
    resource: str = ABSENT
    applied: bool = False
    wanted: bool = True
    protected: bool = False
    was_asked: bool = False
    leaving: bool = False
    wanted_before: bool = False
    leaves_at: datetime | None = None
    retry_at: datetime | None = None
    work: Work | None = None
    versions: tuple[int, ...] = ()
    applied_prefix: str | None = None
    applied_version: int | None = None
    role: str | None = None

    @property
    def version(self) -> int:
        return max(self.versions, default=0)

    @property
    def state(self) -> str:
        match self.resource:
            case "READY":
                return {
                    (False, True): "PENDING_ATTACHMENT",
                    (True, True): "ATTACHED",
                    (True, False): "PENDING_DETACHMENT",
                    (False, False): "DETACHED",
                }[self.applied, self.wanted]
            case "DELETING":
                return "DETACHED" if self.versions else "NEW"
            case _:
                return {ABSENT: "NEW", CREATING: "PROVISIONING", GONE: "REMOVED"}[self.resource]

    @property
    def is_functional(self) -> bool:
        return self.resource == READY and not self.leaving

    # Commands: why one is refused.

    def refusal(self, command: str, *, at: datetime, plan: str = "small") -> str | None:
        match command:
            case "remove" | "abandon":
                return self._refusal_of_an_end(command)
            case "cancel removal":
                can = self.leaving and self.leaves_at is not None and at < self.leaves_at
                return None if can else "NOTHING_TO_CANCEL"
        if self.resource == GONE:
            return "SERVICE_REMOVED"
        if self.leaving:
            return "REMOVAL_IN_PROGRESS"
        match command:
            case "rotate":
                is_free = self.work is None or self.work.kind == "ROTATE"
                return None if self.resource == READY and is_free else "NOT_READY"
            case "reveal":
                return None if self.resource == READY else "NOT_READY"
            case "configure":
                is_busy = self.resource == READY and self.work is not None
                return "NOT_READY" if is_busy and plan != self.wanted_plan else None
        return None

    def _refusal_of_an_end(self, command: str) -> str | None:
        if self.resource == GONE:
            return None
        if self.applied:
            return "MUST_DETACH_FIRST"
        if self.role:
            return "DEPLOYMENT_IN_PROGRESS"
        if command == "abandon":
            has_failed = self.resource == DELETING and self.work is None
            return None if has_failed else "NOTHING_TO_ABANDON"
        if self.leaving or not self.was_asked:
            return None
        return "DELETION_PROTECTED" if self.protected else None

    @property
    def wanted_plan(self) -> str:
        return self.plan if self.next_plan is None else self.next_plan

    # Commands that were accepted.

    def provision(self, work: Work) -> None:
        if self.resource == ABSENT:
            self.resource, self.work, self.was_asked = CREATING, work, True
            self.asked_plan = self.plan

    def configure(self, plan: str, work: Work) -> None:
        if plan == self.wanted_plan:
            return
        if self.resource == ABSENT:
            self.plan = plan
        else:
            self.next_plan = plan
        if self.resource == READY:
            self.work = work

    def rotate(self, work: Work) -> None:
        if self.work is None:
            self.work = work

    def remove(self, work: Work, *, leaves_at: datetime | None) -> None:
        if self.resource == GONE:
            return
        if not self.was_asked:
            self.end()
        elif not self.leaving:
            self.wanted_before, self.wanted = self.wanted, False
            self.leaving, self.leaves_at = True, leaves_at
            if leaves_at is None and self.resource != CREATING:
                self.delete(work)
        elif self.resource == DELETING and self.work is None:
            self.delete(work)

    def cancel_removal(self) -> None:
        self.leaving, self.leaves_at = False, None
        self.wanted = self.wanted_before

    def delete(self, work: Work) -> None:
        self.resource, self.work = DELETING, work
        self.leaves_at = self.retry_at = self.next_plan = None

    def end(self) -> None:
        self.resource, self.wanted, self.leaving = GONE, False, False
        self.work = self.leaves_at = self.retry_at = None
        self.versions = ()

    # Results and time.

    def provisioned(self, operation_id: UUID, then: Work, *, at: datetime) -> None:
        is_current = self.work is not None and self.work.id == operation_id
        if self.resource == ABSENT and self.asked_plan not in (None, self.plan):
            self.plan, self.next_plan = self.asked_plan, self.plan
        if self.resource == ABSENT or (self.resource == CREATING and is_current):
            self.resource, self.work, self.versions = READY, None, (1,)
            self._go_on(then, at=at)

    def failed(self, operation_id: UUID, then: Work, *, at: datetime) -> None:
        if self.work is None or self.work.id != operation_id:
            return
        kind, self.work = self.work.kind, None
        match kind:
            case "PROVISION":
                self.resource = ABSENT
                self.plan, self.next_plan = self.wanted_plan, None
                self._go_on(then, at=at)
            case "UPDATE":
                self.next_plan = None

    def _go_on(self, then: Work, *, at: datetime) -> None:
        """What waited for provisioning: a removal, or another plan."""
        if self.leaving and (self.leaves_at is None or at >= self.leaves_at):
            then.kind = "REMOVE"
            self.delete(then)
        elif self.resource == READY and self.next_plan is not None:
            then.kind = "UPDATE"
            self.work = then

    def updated(self, operation_id: UUID) -> None:
        if self.work and (self.work.kind, self.work.id) == ("UPDATE", operation_id):
            self.plan, self.next_plan, self.work = self.wanted_plan, None, None

    def rotated(self, operation_id: UUID) -> None:
        if self.work and (self.work.kind, self.work.id) == ("ROTATE", operation_id):
            self.versions, self.work = (*self.versions, self.version + 1), None

    def gone(self) -> None:
        if self.resource == DELETING:
            self.end()

    def grace_is_over(self, work: Work, *, at: datetime) -> None:
        is_due = self.leaves_at is not None and at >= self.leaves_at
        if is_due and self.resource in {ABSENT, READY}:
            self.delete(work)

    # Deployments.

    @property
    def next_role(self) -> str | None:
        if self.applied == self.wanted:
            return None
        return "ATTACH" if self.wanted else "DETACH"

    def attached(self, *, prefix: str, version: int) -> None:
        self.applied, self.applied_prefix, self.applied_version = True, prefix, version
        self.role = None

    def detached(self) -> None:
        self.applied, self.applied_prefix, self.applied_version = False, None, None
        self.role = None
