"""What a deployer promises to those who call it."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from domain import errors


@dataclass(frozen=True, kw_only=True)
class Release:
    """A revision of an environment, to be put into effect.

    A rollback puts an earlier revision back, after the deployment `given_up_id` was given up;
    `deployment_id` is its own then. `attempt` counts how often the release is handed over.
    `epoch` is that of the log which says so: a restored log counts revisions anew from what was
    restored, so that numbers of two epochs say nothing of which revision is later.
    """

    deployment_id: UUID
    environment_id: UUID
    environment_name: str
    revision_number: int
    epoch: int = 1
    given_up_id: UUID | None = None
    attempt: int = 1
    variables: Mapping[str, str] = field(repr=False)

    @property
    def is_rollback(self) -> bool:
        """Does it put an earlier revision back?"""
        return self.given_up_id is not None


class OutcomeStatus(enum.StrEnum):
    """How a release ended; or that it goes on elsewhere, or was not taken in yet."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PENDING = "PENDING"
    DELAYED = "DELAYED"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a release ended; message and output hold no secret.

    `again_in` seconds: when to ask again while PENDING, if at all; the least pause when DELAYED.
    """

    status: OutcomeStatus
    message: str = ""
    output: str = ""
    again_in: float | None = None


class Deployer(Protocol):
    """Puts revisions into effect; the deployment's id is the idempotency key."""

    async def release(self, release: Release) -> Outcome:
        """Put the revision into effect, or answer as before if this deployment has ended.

        A release that fails or is cancelled leaves the previous revision in effect.
        """

    async def observe(self, release: Release) -> Outcome | None:
        """Tell how the release ended; None if that is not known, or not yet."""


class DeployerSettingsError(Exception):
    """The settings of a deployer make no sense; `problems` lists every reason."""

    def __init__(self, problems: Sequence[errors.Problem]) -> None:
        self.problems = tuple(problems)
        lines = [f"{problem.path}: {problem.message}" for problem in self.problems]
        super().__init__("; ".join(lines))
