"""Runs work on an S3 server: in threads, one at a time per instance, within a deadline."""

import asyncio
import concurrent.futures
import dataclasses
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from app.providers import contract

if TYPE_CHECKING:
    from app.providers import s3_client

T = TypeVar("T")

_SESSIONS = 8
_PATIENCE = 2.0  # seconds that calls under way get to end


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """An S3 endpoint, its IAM, and who we are there; IAM is there too, if not said otherwise."""

    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)
    iam_endpoint: str | None = None


class S3Admin:
    """Administers one server, for work that is made of calls which may be repeated."""

    def __init__(self, *, server: Server, deadline: float) -> None:
        self._server = server
        self._deadline = deadline
        self._clients: s3_client.Clients | None = None
        self._connecting = threading.Lock()
        self._locks: weakref.WeakValueDictionary[UUID, asyncio.Lock] = weakref.WeakValueDictionary()
        self._threads = concurrent.futures.ThreadPoolExecutor(
            max_workers=_SESSIONS, thread_name_prefix="s3"
        )
        self._running: set[asyncio.Task[object]] = set()

    async def run(
        self,
        *,
        service_instance_id: UUID,
        work: Callable[["s3_client.Api"], T],
        secrets: Iterable[str] = (),
    ) -> T:
        """Do the work, or raise ProviderError."""
        given_up = threading.Event()
        task = asyncio.create_task(self._locked(service_instance_id, work, given_up))
        self._running.add(task)
        task.add_done_callback(self._seen)
        try:
            await asyncio.wait({task}, timeout=self._deadline)
        finally:
            # A thread cannot be cancelled: it ends before its next call, and holds the lock until.
            given_up.set()
        if not task.done():
            raise contract.ProviderError(
                code=contract.ProviderErrorCode.TIMEOUT,
                message=f"S3: the server gave no answer within {self._deadline:g} seconds",
                is_transient=True,
            )
        if (error := task.exception()) is not None and (said := self._told(error, secrets)):
            # Raised here and not while handling: the chain of causes would carry the raw text.
            raise said
        return task.result()

    async def aclose(self) -> None:
        """Let the calls under way end, then let go of the connections."""
        if self._running:
            await asyncio.wait(self._running, timeout=_PATIENCE)
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._clients is not None:
            self._clients.close()

    async def _locked(
        self,
        service_instance_id: UUID,
        work: Callable[["s3_client.Api"], T],
        given_up: threading.Event,
    ) -> T:
        lock = self._locks.setdefault(service_instance_id, asyncio.Lock())
        async with lock:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._worked, work, given_up)

    def _worked(self, work: Callable[["s3_client.Api"], T], given_up: threading.Event) -> T:
        from app.providers import s3_client  # noqa: PLC0415  heavy: no start has to wait for it

        with self._connecting:
            if self._clients is None:
                self._clients = s3_client.Clients(
                    self._server, deadline=self._deadline, connections=_SESSIONS
                )
        return work(s3_client.Api(self._clients, given_up))

    def _told(self, error: BaseException, secrets: Iterable[str]) -> contract.ProviderError | None:
        from app.providers import s3_client  # noqa: PLC0415  as above

        own = (self._server.secret_access_key, self._server.access_key_id)
        return s3_client.translated(error, secrets=(*own, *secrets))

    def _seen(self, task: asyncio.Task[T]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that the event loop does not print it as it is
