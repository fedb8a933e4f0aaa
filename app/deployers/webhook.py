"""Tells a receiver of yours over HTTP, signed, and learns from it how the release ended.

The message is a POST with a JSON body, signed as Standard Webhooks says. It names the
deployment, the environment, the revision and the variables, and holds no value of them: the
receiver fetches those from `variablesUrl` with the token of the message, as long as the
deployment runs. `webhook-id` is the same each time that a release is sent: take it in once.

What an answer means:

    2xx with {"outcome": "SUCCEEDED" | "FAILED", "message", "output"}   the release has ended
    any other 2xx          taken in; the outcome follows as a POST to `resultUrl`, or is found at
                           the "statusUrl" of the answer, asked again as its Retry-After says
    408, 425, 429, 5xx,    not taken in, as far as we know: sent again with a growing pause, or as
    no answer in time      Retry-After says, until the deployment's deadline
    anything else          refused: the deployment fails; a redirection is not followed

A `statusUrl` stands on the receiver's own scheme, host and port. It answers 200 with the object
above, without "outcome" while the release goes on. Addresses of private networks are allowed:
whoever configures a deployer can make the server send messages there, signed with a key of
their own choice. Proxies and certificates of the server's environment are not used.

A deployment that is given up after it was sent is followed by a message of type
`deployment.rollback` with what ran before; its outcome is not waited for. It waits while a later
deployment is being released, and is not sent any more once one succeeded. Its token is valid for an
hour after it was taken in.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urljoin, urlsplit
from uuid import UUID

import httpx

from app.deployers import contract, receiver_answer, signature
from app.deployers.webhook_settings import WebhookSettings

_LONGEST_ANSWER = 262_144  # bytes
_AGAIN_LATER = frozenset({408, 425, 429})
_ASK_AGAIN_IN = 5.0  # seconds, unless the receiver says
_LONGEST_WAIT = 300.0
_SHORTEST_WAIT = 1.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What was agreed with a receiver: the token it has, and how the release is asked about."""

    token: str = field(repr=False)
    is_accepted: bool = False
    status_url: str | None = field(default=None, repr=False)


class Exchange(Protocol):
    """Remembers what was agreed with receivers, whichever worker asks."""

    public_url: str

    async def agreement(self, release_id: UUID) -> Agreement:
        """Return what is agreed about a release; begins with a token."""

    async def accept(self, release_id: UUID, *, status_url: str | None) -> None:
        """Remember that the receiver took the release in."""


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    text: bytes
    again_in: float | None


class WebhookDeployer:
    """See the module."""

    def __init__(self, *, settings: WebhookSettings, exchange: Exchange) -> None:
        self._settings = settings
        self._exchange = exchange

    async def release(self, release: contract.Release) -> contract.Outcome:
        """Send the message, unless it was taken in before: then ask how the release is."""
        agreement = await self._exchange.agreement(release.deployment_id)
        if agreement.is_accepted:
            return await self._progress(release, agreement)
        body = json.dumps(self._message(release, agreement)).encode()
        try:
            answer = await self._send("POST", self._settings.url, release, body)
        except (httpx.HTTPError, TimeoutError) as error:
            return _delayed(f"{self._host} did not answer: {_reason(error)}", again_in=None)
        return await self._judged(release, agreement, answer)

    async def observe(self, release: contract.Release) -> contract.Outcome | None:
        """Ask the receiver how the release ended; None if it does not tell, or not yet."""
        agreement = await self._exchange.agreement(release.deployment_id)
        outcome = await self._progress(release, agreement)
        return None if outcome.status is contract.OutcomeStatus.PENDING else outcome

    @property
    def _host(self) -> str:
        return urlsplit(self._settings.url).netloc

    def _message(self, release: contract.Release, agreement: Agreement) -> Mapping[str, object]:
        place = f"{self._exchange.public_url}/deployments/{_deployment(release)}"
        if release.is_rollback:
            place += "/rollback"
        return {
            "type": f"deployment.{'rollback' if release.is_rollback else 'release'}",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "data": {
                "deployment": _deployment(release),
                "environment": f"env_{release.environment_id.hex}",
                "environmentName": release.environment_name,
                "revision": release.revision_number,
                "variables": sorted(release.variables),
                "token": agreement.token,
                "variablesUrl": f"{place}/variables",
                **({} if release.is_rollback else {"resultUrl": f"{place}/result"}),
            },
        }

    async def _send(self, method: str, url: str, release: contract.Release, body: bytes) -> _Answer:
        message_id = _deployment(release) + ("_rollback" if release.is_rollback else "")
        signed = signature.headers(
            key=self._settings.key,
            message_id=message_id,
            timestamp=int(datetime.now(UTC).timestamp()),
            body=body,
        )
        headers = {**signed, "user-agent": "servicebook", "accept": "application/json"}
        if body:
            headers["content-type"] = "application/json"
        seconds = self._settings.timeout
        async with (
            asyncio.timeout(seconds),  # for all of it: the client's is for a part
            httpx.AsyncClient(timeout=seconds, follow_redirects=False, trust_env=False) as client,
            client.stream(method, url, content=body, headers=headers) as response,
        ):
            text = b""
            async for chunk in response.aiter_bytes():
                text += chunk
                if len(text) > _LONGEST_ANSWER:
                    text = b""  # nothing that we know how to read
                    break
            return _Answer(status=response.status_code, text=text, again_in=_again_in(response))

    async def _judged(
        self, release: contract.Release, agreement: Agreement, answer: _Answer
    ) -> contract.Outcome:
        if answer.status in _AGAIN_LATER or answer.status >= 500:  # noqa: PLR2004  as HTTP has it
            return _delayed(f"{self._host} answered {answer.status}", again_in=answer.again_in)
        if not 200 <= answer.status < 300:  # noqa: PLR2004  as HTTP has it
            where = ", and redirections are not followed" if answer.status < 400 else ""  # noqa: PLR2004  as HTTP has it
            return contract.Outcome(
                status=contract.OutcomeStatus.FAILED,
                message=f"{self._host} answered {answer.status}{where}",
            )
        told = self._told(release, agreement, answer)
        if told.outcome is not None:
            return told.outcome
        status_url = self._own(told.status_url)
        await self._exchange.accept(release.deployment_id, status_url=status_url)
        return _pending(release, again_in=answer.again_in, is_asked=status_url is not None)

    async def _progress(self, release: contract.Release, agreement: Agreement) -> contract.Outcome:
        """Ask at the status address, if the receiver gave one."""
        if agreement.status_url is None:
            return _pending(release, again_in=None, is_asked=False)
        try:
            answer = await self._send("GET", agreement.status_url, release, b"")
        except (httpx.HTTPError, TimeoutError):
            return _pending(release, again_in=None, is_asked=True)
        told = receiver_answer.Told()
        if answer.status == 200:  # noqa: PLR2004  as HTTP has it
            told = self._told(release, agreement, answer)
        return told.outcome or _pending(release, again_in=answer.again_in, is_asked=True)

    def _told(
        self, release: contract.Release, agreement: Agreement, answer: _Answer
    ) -> receiver_answer.Told:
        secrets = (*release.variables.values(), agreement.token)
        try:
            return receiver_answer.read(answer.text, secrets=secrets)
        except receiver_answer.AnswerError as error:
            _logger.warning(
                "an answer of %s about %s is not understood: %s",
                self._host,
                _deployment(release),
                error,
            )
            return receiver_answer.Told()

    def _own(self, status_url: str | None) -> str | None:
        """Return the address if it stands on the receiver itself; None otherwise."""
        if status_url is None:
            return None
        try:
            url = urljoin(self._settings.url, status_url)
            is_own = _origin(url) == _origin(self._settings.url)
        except (ValueError, httpx.InvalidURL):
            is_own = False
        if not is_own:
            _logger.warning("%s gave a statusUrl elsewhere, which is not asked", self._host)
        return url if is_own else None


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = httpx.URL(url)
    return parts.scheme, parts.host, parts.port


def _deployment(release: contract.Release) -> str:
    return f"dep_{(release.given_up_id or release.deployment_id).hex}"


def _pending(
    release: contract.Release, *, again_in: float | None, is_asked: bool
) -> contract.Outcome:
    return contract.Outcome(
        status=contract.OutcomeStatus.PENDING,
        message=f"the receiver works on revision {release.revision_number}",
        again_in=_bounded(_ASK_AGAIN_IN if again_in is None else again_in) if is_asked else None,
    )


def _delayed(message: str, *, again_in: float | None) -> contract.Outcome:
    return contract.Outcome(
        status=contract.OutcomeStatus.DELAYED,
        message=message,
        again_in=None if again_in is None else _bounded(again_in),
    )


def _bounded(seconds: float) -> float:
    return min(max(seconds, _SHORTEST_WAIT), _LONGEST_WAIT)


def _again_in(response: httpx.Response) -> float | None:
    """Return the seconds of Retry-After, which may name a time; None if it says nothing."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None


def _reason(error: Exception) -> str:
    """Say why in words of our own: the text of the error may repeat what was sent."""
    match error:
        case TimeoutError():
            return "its time was up"
        case httpx.ConnectError():
            return "no connection"
        case _:
            return "the connection broke"
