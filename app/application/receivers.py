"""Use cases of receivers of webhooks: fetch the variables, tell how a release ended.

They hold the token of one deployment and speak for nobody else.
"""

import dataclasses
from collections.abc import Mapping
from uuid import UUID

from app import deployers, exchange
from app.access import caller
from app.application.request import Request
from app.application.rollout import Handover, Rollout, rollback_id
from app.application.unit_of_work import UnitOfWork, commit
from app.eventlog import log
from domain import errors
from domain.values import DeploymentStatus


class NotAdmittedError(Exception):
    """The token is not that of the deployment, or there is no such deployment."""


class ReleaseOverError(Exception):
    """The deployment ended: there is nothing to fetch or to tell any more."""


class RollbackWaitsError(Exception):
    """A later deployment is being released: how it ends decides whether to go back."""


@dataclasses.dataclass(frozen=True)
class Given:
    """The variables of a revision."""

    environment_id: UUID
    revision: int
    variables: Mapping[str, str] = dataclasses.field(repr=False)


class Receivers:
    """What receivers ask; raises NotAdmittedError, ReleaseOverError or RollbackWaitsError."""

    def __init__(
        self, *, event_log: log.EventLog, rollout: Rollout, exchange: exchange.VaultExchange
    ) -> None:
        self._log = event_log
        self._rollout = rollout
        self._exchange = exchange

    async def variables(self, *, deployment_id: UUID, token: str, is_rollback: bool) -> Given:
        """Return the variables; that they were fetched is recorded before."""
        handover = await self._handover(deployment_id, token, is_rollback=is_rollback)
        request = Request(actor=caller.RECEIVER, name="fetch_variables")

        async def decide(work: UnitOfWork) -> None:
            found = await work.deployment(deployment_id)
            found.note_fetch(revision=handover.revision, at=work.now)

        await commit(event_log=self._log, request=request, decide=decide)
        return Given(
            environment_id=handover.environment_id,
            revision=handover.revision,
            variables=handover.variables,
        )

    async def result(self, *, deployment_id: UUID, token: str, answer: bytes) -> None:
        """Take in how the release ended; telling it again changes nothing.

        Raises deployers.AnswerError if the answer does not tell.
        """
        if not await self._exchange.holds(deployment_id, token=token):
            raise NotAdmittedError
        handover = await self._rollout.handover(deployment_id=deployment_id)
        secrets = (*(handover.variables.values() if handover else ()), token)
        outcome = deployers.read_answer(answer, secrets=secrets).outcome
        if outcome is None:
            raise deployers.AnswerError("outcome must be SUCCEEDED or FAILED")
        request = Request(actor=caller.RECEIVER, name="report_release")
        if outcome.status is deployers.OutcomeStatus.SUCCEEDED:
            await self._rollout.released(
                request=request, deployment_id=deployment_id, output=outcome.output
            )
        else:
            await self._rollout.failed(
                request=request,
                deployment_id=deployment_id,
                code="RELEASE_FAILED",
                message=outcome.message,
                output=outcome.output,
            )
        await self._require_status(deployment_id, DeploymentStatus(outcome.status.value))

    async def _require_status(self, deployment_id: UUID, status: DeploymentStatus) -> None:
        found = await UnitOfWork(event_log=self._log).deployment(deployment_id)
        if found.status is not status:
            raise ReleaseOverError

    async def _handover(self, deployment_id: UUID, token: str, *, is_rollback: bool) -> Handover:
        release_id = rollback_id(deployment_id) if is_rollback else deployment_id
        if not await self._exchange.holds(release_id, token=token):
            raise NotAdmittedError
        wanted = self._rollout.rollback if is_rollback else self._rollout.handover
        try:
            handover = await wanted(deployment_id=deployment_id)
        except errors.NotFoundRefusedError as error:
            raise NotAdmittedError from error
        except errors.DeploymentRefusedError as error:
            raise RollbackWaitsError from error
        if handover is None:
            raise ReleaseOverError
        return handover
