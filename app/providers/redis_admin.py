"""Calls to a Redis server, each by itself, and what their errors mean."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar
from urllib.parse import unquote, urlsplit
from uuid import UUID

import redis.asyncio
from redis import backoff, exceptions
from redis.asyncio import retry

from app import redaction
from app.providers import attempts, contract

T = TypeVar("T")
Word = str | bytes | int

_LONGEST_WAIT = 10.0  # seconds for one answer
_REFUSALS = (exceptions.AuthenticationError, exceptions.NoPermissionError)
_TRANSIENT = (exceptions.ReadOnlyError, exceptions.OutOfMemoryError, exceptions.TryAgainError)
_TRANSIENT_STARTS = ("BUSY", "LOADING", "MASTERDOWN", "MISCONF", "ERR There was an error trying")


class Api:
    """Asks the server, over one connection, as long as somebody waits for the answer."""

    def __init__(self, client: redis.asyncio.Redis, attempt: attempts.Attempt) -> None:
        self._client = client
        self._attempt = attempt

    async def ask(self, *words: Word) -> object:
        """Give one command and return what the server answers."""
        self._attempt.require_wanted()
        answer: object = await self._client.execute_command(*words)  # type: ignore[no-untyped-call]  # the client has no types here
        return answer

    async def ask_together(self, *commands: Sequence[Word]) -> bool:
        """Give all commands or, if a watched key has changed, none; tell which."""
        await self.ask("MULTI")
        for command in commands:
            await self.ask(*command)
        answers = await self.ask("EXEC")
        for answer in answers if isinstance(answers, list) else ():
            if isinstance(answer, Exception):
                raise answer
        return answers is not None


class RedisAdmin:
    """Connections of an administrator, one for each piece of work."""

    def __init__(self, *, url: str, deadline: float) -> None:
        self._url = url
        self._wait = min(deadline, _LONGEST_WAIT)
        self._attempts = attempts.Attempts(server="Redis", deadline=deadline, told=self._told)

    async def run(self, *, service_instance_id: UUID, work: Callable[[Api], Awaitable[T]]) -> T:
        """Do the work, or raise ProviderError."""

        async def connected(attempt: attempts.Attempt) -> T:
            client = redis.asyncio.Redis.from_url(
                self._url,
                single_connection_client=True,
                protocol=2,
                socket_connect_timeout=self._wait,
                socket_timeout=self._wait,
                # A second try would be on another connection, which watches nothing.
                retry=retry.Retry(backoff.NoBackoff(), retries=0),
            )
            client.response_callbacks.clear()  # answers as they come, whatever the command
            try:
                return await work(Api(client, attempt))
            finally:
                await client.aclose()

        return await self._attempts.run(service_instance_id=service_instance_id, work=connected)

    async def aclose(self) -> None:
        """Let the calls under way end."""
        await self._attempts.aclose()

    def _told(self, error: BaseException) -> contract.ProviderError | None:
        if not isinstance(error, exceptions.RedisError | OSError):
            return None
        return _translated(error, secrets=_secrets_in(self._url))


def digest(password: str) -> str:
    """Return what the server gets in place of a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def _secrets_in(url: str) -> Iterable[str]:
    password = unquote(urlsplit(url).password or "")
    return (url, password) if password else (url,)


def _translated(
    error: exceptions.RedisError | OSError, *, secrets: Iterable[str]
) -> contract.ProviderError:
    text = str(error) or type(error).__name__
    message = " ".join(redaction.redact(text, secrets=secrets).split())
    code, is_transient = _classified(error)
    return contract.ProviderError(code=code, message=f"Redis: {message}", is_transient=is_transient)


def _classified(error: BaseException) -> tuple[contract.ProviderErrorCode, bool]:
    if isinstance(error, _REFUSALS):
        return contract.ProviderErrorCode.PERMISSION_DENIED, False
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return contract.ProviderErrorCode.TIMEOUT, True
    # An answer that cannot be read comes from something else, or from a server in trouble.
    lost = (exceptions.ConnectionError, exceptions.InvalidResponse, OSError, *_TRANSIENT)
    if isinstance(error, lost) or str(error).startswith(_TRANSIENT_STARTS):
        return contract.ProviderErrorCode.UNAVAILABLE, True
    return contract.ProviderErrorCode.FAILED, False
