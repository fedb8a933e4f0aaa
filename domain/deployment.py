"""A deployment: a snapshot of an environment put into effect, or not at all."""

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain import errors, events, values
from domain.errors import RefusalCode
from domain.values import DeploymentStatus, DeploymentStep

EXTERNAL_DEPLOYER = "external"
DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"


class Deployment(Aggregate):
    """One deployment, from its snapshot to its end (section 3 of the rules)."""

    TOPIC: ClassVar[str] = "Deployment"
    Event = events.Event
    Created = events.DeploymentStarted

    def __init__(self) -> None:
        self.started: events.DeploymentStarted  # comes with the first event, by `apply`
        self.status = DeploymentStatus.RUNNING
        self.step = DeploymentStep.SERVICES
        self.attempt = 1
        self.revision: int | None = None
        self.variables: tuple[values.Variable, ...] = ()

    @classmethod
    def start(  # noqa: PLR0913  what a deployment is made of is said once, here
        cls,
        *,
        deployment_id: UUID,
        project_id: UUID,
        environment_id: UUID,
        environment_name: str,
        number: int,
        items: tuple[events.SnapshotItem, ...],
        plan: dict[str, Any],
        deployer: str,
        deployer_settings: dict[str, Any],
        deadline: datetime,
        requested_by: str,
        at: datetime,
        deployer_secret_id: UUID | None = None,
    ) -> Self:
        """Start a deployment of the snapshot `items`."""
        return cls._create(
            events.DeploymentStarted,
            id=deployment_id,
            timestamp=at,
            project_id=project_id,
            environment_id=environment_id,
            environment_name=environment_name,
            number=number,
            items=items,
            plan=plan,
            deployer=deployer,
            deployer_settings=deployer_settings,
            deadline=deadline,
            requested_by=requested_by,
            deployer_secret_id=deployer_secret_id,
        )

    def apply(self, event: events.Event) -> None:
        """Take an event in, new or replayed."""
        match event:
            case events.DeploymentStarted():
                self.started = event
            case events.DeploymentStepStarted():
                self.step = event.step
            case events.DeploymentConfigured():
                self.revision = event.revision
                self.variables = event.variables
            case events.DeploymentReleaseDelayed():
                self.attempt = event.attempt
            case events.DeploymentVariablesFetched() | events.DeploymentReleaseReported():
                pass  # what the history tells; nothing is decided by it
            case events.DeploymentSucceeded():
                self.status = DeploymentStatus.SUCCEEDED
                self.step = DeploymentStep.AFTER
            case events.DeploymentFailed():
                self.status = DeploymentStatus.FAILED
            case events.DeploymentCancelled():
                self.status = DeploymentStatus.CANCELLED
            case _:
                raise TypeError(f"{type(event).__name__} is no event of a deployment")

    @property
    def is_running(self) -> bool:
        """Has it not ended yet?"""
        return self.status is DeploymentStatus.RUNNING

    @property
    def is_exposed(self) -> bool:
        """Was the deployer given the credentials?"""
        return self.step in {DeploymentStep.RELEASE, DeploymentStep.SWITCH, DeploymentStep.AFTER}

    def configure(
        self, *, revision: int, variables: tuple[values.Variable, ...], at: datetime
    ) -> None:
        """Build the next revision."""
        self._require_running("configure")
        self.trigger_event(
            events.DeploymentStepStarted, timestamp=at, step=DeploymentStep.CONFIGURE
        )
        self.trigger_event(
            events.DeploymentConfigured, timestamp=at, revision=revision, variables=variables
        )

    def hand_over(self, *, at: datetime) -> None:
        """Let the deployer put the next revision into effect."""
        self._require_running("release")
        self.trigger_event(events.DeploymentStepStarted, timestamp=at, step=DeploymentStep.RELEASE)

    def delay_release(self, *, message: str, next_attempt_at: datetime, at: datetime) -> None:
        """Hand the release over once more, later."""
        self._require_running("delay")
        self.trigger_event(
            events.DeploymentReleaseDelayed,
            timestamp=at,
            attempt=self.attempt + 1,
            message=message,
            next_attempt_at=next_attempt_at,
        )

    def note_fetch(self, *, revision: int, at: datetime) -> None:
        """Record that a receiver is given the variables; also after the end, for a rollback."""
        self.trigger_event(events.DeploymentVariablesFetched, timestamp=at, revision=revision)

    def report_output(self, *, output: str, at: datetime) -> None:
        """Keep what the release wrote, or what was told of it; nothing if that is nothing."""
        self._require_running("report on")
        if output:
            self.trigger_event(events.DeploymentReleaseReported, timestamp=at, output=output)

    def succeed(self, *, at: datetime) -> None:
        """Switch over: the new revision runs (R35)."""
        self._require_running("switch over")
        self.trigger_event(events.DeploymentSucceeded, timestamp=at, revision=self.revision)

    def fail(self, *, code: str, message: str, at: datetime) -> None:
        """End at the step that was reached; the previous revision still runs (R34)."""
        self._require_running("fail")
        self.trigger_event(
            events.DeploymentFailed, timestamp=at, step=self.step, code=code, message=message
        )

    def cancel(self, *, at: datetime) -> None:
        """End on request, before the switch-over (R38)."""
        if not self.is_running:
            raise self._refused("cancel", code=RefusalCode.TOO_LATE_TO_CANCEL)
        self.trigger_event(events.DeploymentCancelled, timestamp=at, step=self.step)

    def check_report(self) -> None:
        """Refuse a report from outside, unless this deployment waits for one."""
        self._require_running("report on")
        if self.started.deployer != EXTERNAL_DEPLOYER:
            raise errors.DeploymentRefusedError(
                code=RefusalCode.NOT_READY,
                message=f"Cannot report on deployment {self.started.number}: "
                f"{self.started.deployer} carries it out and decides.",
                deployment_id=self.id,
            )
        if self.step is not DeploymentStep.RELEASE:
            raise errors.DeploymentRefusedError(
                code=RefusalCode.NOT_READY,
                message=f"Cannot report on deployment {self.started.number}: it is at step "
                f"{self.step}. Report once it is at RELEASE.",
                deployment_id=self.id,
            )

    def _require_running(self, what: str) -> None:
        """Refuse what would follow the end: a deployment ends once."""
        if not self.is_running:
            raise self._refused(what, code=RefusalCode.NO_DEPLOYMENT_IN_PROGRESS)

    def _refused(self, what: str, *, code: RefusalCode) -> errors.DeploymentRefusedError:
        return errors.DeploymentRefusedError(
            code=code,
            message=f"Cannot {what} deployment {self.started.number} of "
            f"{self.started.environment_name}: it ended {self.status}.",
            deployment_id=self.id,
        )
