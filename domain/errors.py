"""Refusals: what a command says when a rule stands in its way.

Each carries a stable code and a message that tells what was asked, what stands in the way
and what would help. One class per shape of data that goes with it, as the API shows it.
"""

import dataclasses
import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from domain.deployment_plan import DeploymentPlan
    from domain.states import ServiceInstanceState


class RefusalCode(enum.StrEnum):
    """Why a command was refused; a program may rely on these."""

    FEATURE_NOT_ENABLED = "FEATURE_NOT_ENABLED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_SUBSCRIBED = "NOT_SUBSCRIBED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    OFFERING_UNKNOWN = "OFFERING_UNKNOWN"
    PLAN_UNKNOWN = "PLAN_UNKNOWN"
    OFFERING_RETIRED = "OFFERING_RETIRED"
    PARAMETERS_INVALID = "PARAMETERS_INVALID"
    PREFIX_INVALID = "PREFIX_INVALID"
    PREFIX_TAKEN = "PREFIX_TAKEN"
    VARIABLE_NAME_TAKEN = "VARIABLE_NAME_TAKEN"
    NAME_TAKEN = "NAME_TAKEN"
    MUST_DETACH_FIRST = "MUST_DETACH_FIRST"
    CONFIRMATION_REQUIRED = "CONFIRMATION_REQUIRED"
    DELETION_PROTECTED = "DELETION_PROTECTED"
    REMOVAL_IN_PROGRESS = "REMOVAL_IN_PROGRESS"
    SERVICE_REMOVED = "SERVICE_REMOVED"
    NOTHING_TO_ABANDON = "NOTHING_TO_ABANDON"
    NOTHING_TO_CANCEL = "NOTHING_TO_CANCEL"
    DEPLOYMENT_IN_PROGRESS = "DEPLOYMENT_IN_PROGRESS"
    NO_DEPLOYMENT_IN_PROGRESS = "NO_DEPLOYMENT_IN_PROGRESS"
    TOO_LATE_TO_CANCEL = "TOO_LATE_TO_CANCEL"
    PLAN_STALE = "PLAN_STALE"
    PLAN_BLOCKED = "PLAN_BLOCKED"
    PROJECT_NOT_FOUND = "PROJECT_NOT_FOUND"
    ENVIRONMENT_NOT_FOUND = "ENVIRONMENT_NOT_FOUND"
    SERVICE_NOT_FOUND = "SERVICE_NOT_FOUND"
    TOKEN_NOT_FOUND = "TOKEN_NOT_FOUND"  # noqa: S105  no password
    ENVIRONMENT_NOT_EMPTY = "ENVIRONMENT_NOT_EMPTY"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    NOT_READY = "NOT_READY"
    INVALID_INPUT = "INVALID_INPUT"


class RefusedError(Exception):
    """A rule refused the command; nothing changed."""

    def __init__(self, *, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class PermissionRefusedError(RefusedError):
    """The caller may not do this."""


class StateRefusedError(RefusedError):
    """The state of the thing stands in the way."""

    def __init__(
        self, *, code: RefusalCode, message: str, state: "ServiceInstanceState | None" = None
    ) -> None:
        super().__init__(code=code, message=message)
        self.state = state


class ConflictRefusedError(RefusedError):
    """Somebody else changed the thing, or the idempotency key was used for something else."""

    def __init__(
        self, *, code: RefusalCode, message: str, current_version: int | None = None
    ) -> None:
        super().__init__(code=code, message=message)
        self.current_version = current_version


class NotFoundRefusedError(RefusedError):
    """No such thing, or none that the caller may see; `given_id` is what was asked for."""

    def __init__(self, *, code: RefusalCode, message: str, given_id: str) -> None:
        super().__init__(code=code, message=message)
        self.given_id = given_id


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: where (dotted path) and what."""

    path: str
    message: str


class InputRefusedError(RefusedError):
    """The input is not acceptable; `problems` lists every reason."""

    def __init__(
        self,
        *,
        code: RefusalCode,
        message: str,
        path: str = "",
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(code=code, message=message)
        self.problems = tuple(problems) or (Problem(path=path, message=message),)


class TakenRefusedError(RefusedError):
    """A name is held by something else: `holder_id` of the type that `holder_type` names."""

    def __init__(
        self, *, code: RefusalCode, message: str, holder_id: UUID, holder_type: str
    ) -> None:
        super().__init__(code=code, message=message)
        self.holder_id = holder_id
        self.holder_type = holder_type


class QuotaRefusedError(RefusedError):
    """The subscription has no free unit of the offering."""

    def __init__(
        self, *, code: RefusalCode, message: str, offering: str, limit: int, used: int
    ) -> None:
        super().__init__(code=code, message=message)
        self.offering = offering
        self.limit = limit
        self.used = used


class ConfirmationRefusedError(RefusedError):
    """The command destroys data and wants `expected` typed."""

    def __init__(self, *, message: str, expected: str) -> None:
        super().__init__(code=RefusalCode.CONFIRMATION_REQUIRED, message=message)
        self.expected = expected


class DeploymentRefusedError(RefusedError):
    """A deployment stands in the way, or is past what was asked."""

    def __init__(self, *, code: RefusalCode, message: str, deployment_id: UUID) -> None:
        super().__init__(code=code, message=message)
        self.deployment_id = deployment_id


class PlanRefusedError(RefusedError):
    """The plan is not the one that was approved, or cannot be carried out.

    `added` and `removed` are the lines by which the current plan differs from the approved.
    """

    def __init__(
        self,
        *,
        code: RefusalCode,
        message: str,
        plan: "DeploymentPlan",
        added: Sequence[str] = (),
        removed: Sequence[str] = (),
    ) -> None:
        super().__init__(code=code, message=message)
        self.plan = plan
        self.added = tuple(added)
        self.removed = tuple(removed)
