"""An operation carried to its end, waiting for it where the broker takes its time.

The wait is bounded, so that a worker is not held for as long as a broker takes: then the caller
is told to come again, asks anew with the same id, and goes on waiting.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from app.providers import contract
from app.providers.open_service_broker import verdicts
from app.providers.open_service_broker.client import Answer, Client, NoAnswerError

FIRST_PAUSE = 0.25  # seconds
_LONGEST_PAUSE = 5.0
_FORGOTTEN_AFTER = 10_000  # operations


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a broker is asked, and how long that may take."""

    request: verdicts.Request
    path: str
    operation_id: UUID | None
    query: Mapping[str, str]
    body: Mapping[str, object] | None = None
    maximum: float | None = None
    secrets: tuple[str, ...] = ()
    is_doubted: bool = False
    """Is "it is there already" looked into? It may be what is left of a failure."""
    is_retrievable: bool = False
    """Can what is there be fetched?"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job went."""

    answer: Answer | None
    """None if it never came."""
    failure: verdicts.Failure | None = None

    @property
    def is_conflict(self) -> bool:
        """Is something else there by the same id?"""
        return self.answer is not None and self.answer.status == 409  # noqa: PLR2004  an HTTP status


_METHODS: Mapping[verdicts.Request, str] = {
    verdicts.Request.PROVISION: "PUT",
    verdicts.Request.UPDATE: "PATCH",
    verdicts.Request.BIND: "PUT",
    verdicts.Request.UNBIND: "DELETE",
    verdicts.Request.DEPROVISION: "DELETE",
}


@dataclass
class Operations:
    """Carries out jobs at one broker."""

    client: Client
    patience: float
    """Seconds that one call waits for an accepted operation."""
    first_pause: float = FIRST_PAUSE
    """Seconds until it is looked at for the first time; then longer, or as the broker says."""
    _accepted: dict[tuple[str, UUID | None], float] = field(default_factory=dict)
    """Since when operations are known to be under way. A new process counts anew."""

    async def carry_out(self, job: Job) -> Outcome:
        """Ask, and wait for the end.

        Raises ProviderError if it cannot be asked, or is still at it.
        """
        query = {**job.query, "accepts_incomplete": "true"}
        try:
            answer = await self.client.ask(
                _METHODS[job.request],
                job.path,
                query=query if job.body is None else {"accepts_incomplete": "true"},
                body=job.body,
                secrets=job.secrets,
            )
        except NoAnswerError as error:
            return Outcome(answer=None, failure=verdicts.without_answer(job.request, error))
        failure = verdicts.failure(job.request, answer)
        if failure is None and answer.status == 202:  # noqa: PLR2004  an HTTP status
            return await self._ended(job, answer)
        if failure is None and answer.status == 200 and job.is_doubted:  # noqa: PLR2004  likewise
            return await self._looked_into(job, answer)
        return Outcome(answer=answer, failure=failure)

    async def _looked_into(self, job: Job, said: Answer) -> Outcome:
        """Ask how what is said to be there came about; who cannot tell is believed."""
        look = await self._look(job, job.query)
        if _state(look) == "in progress":
            return await self._ended(job, said)
        outcome = _outcome(job, look)
        if outcome is not None or not job.is_retrievable:
            return outcome or Outcome(answer=said)
        found = await self.client.ask("GET", job.path, query=job.query, secrets=job.secrets)
        is_missing = found.status in {404, 410}
        return Outcome(answer=said, failure=verdicts.not_there(job.request) if is_missing else None)

    async def _look(self, job: Job, query: Mapping[str, str]) -> Answer:
        return await self.client.ask(
            "GET", f"{job.path}/last_operation", query=query, secrets=job.secrets
        )

    async def _ended(self, job: Job, accepted: Answer) -> Outcome:
        clock = asyncio.get_running_loop().time
        started, key = clock(), (f"{job.request} {job.path}", job.operation_id)
        since = self._since(key, started)
        name = verdicts.operation(accepted)
        query = {**job.query, **({"operation": name} if name else {})}
        answer, pause = accepted, self.first_pause
        while True:
            if job.maximum is not None and clock() - since > job.maximum:
                self._accepted.pop(key, None)
                failure = verdicts.took_too_long(job.request, job.maximum)
                return Outcome(answer=answer, failure=failure)
            wait = pause if answer.retry_after is None else answer.retry_after
            if clock() - started + wait > self.patience:
                raise _still_at_it(job, answer)
            await asyncio.sleep(wait)
            answer = await self._look(job, query)
            outcome = _outcome(job, answer)
            if outcome is not None:
                self._accepted.pop(key, None)
                return outcome
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _since(self, key: tuple[str, UUID | None], now: float) -> float:
        while len(self._accepted) >= _FORGOTTEN_AFTER:
            self._accepted.pop(next(iter(self._accepted)))
        return self._accepted.setdefault(key, now)


def _outcome(job: Job, answer: Answer) -> Outcome | None:
    """Return how the operation ended; whatever is no proper answer counts as not yet."""
    if answer.status == 410 and job.request.takes_away:  # noqa: PLR2004  an HTTP status
        return Outcome(answer=answer)
    match _state(answer):
        case "succeeded":
            return Outcome(answer=answer)
        case "failed":
            return Outcome(
                answer=answer, failure=verdicts.ended_badly(job.request, answer.description)
            )
        case _:
            return None


def _state(answer: Answer) -> object:
    return (answer.body or {}).get("state") if answer.status == 200 else None  # noqa: PLR2004  an HTTP status


def _still_at_it(job: Job, answer: Answer) -> contract.ProviderError:
    said = f": {answer.description}" if answer.description else ""
    return contract.ProviderError(
        code=contract.ProviderErrorCode.TIMEOUT,
        message=f"broker: {job.request} is still under way{said}",
        is_transient=True,
        retry_after=answer.retry_after,
    )
