"""Runs a provider's work on a PostgreSQL server: one lock per instance, a deadline per call."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar
from uuid import UUID

import psycopg
from psycopg import conninfo

from app import redaction
from app.providers import contract

Connection: TypeAlias = psycopg.AsyncConnection[tuple[object, ...]]
T = TypeVar("T")

_TRANSIENT_CLASSES = ("08", "40", "53")
_TRANSIENT_STATES = frozenset(
    {
        "25006",  # read only: a failover is under way
        "42710",  # a role made by somebody else meanwhile: the repeat finds it
        "42P04",  # a database, likewise
        "23505",  # the same, seen in a catalogue's index
        "55006",  # object in use
        "55P03",  # lock not available
        "57014",  # statement timeout
        "57P01",  # admin shutdown
        "57P02",  # crash shutdown
        "57P03",  # starting up
        "57P05",  # idle session timeout
    }
)
_PERMISSION_STATES = frozenset({"42501", "0LP01", "28000", "28P01"})
_PARAMETER_CLASSES = ("22",)
_PARAMETER_STATES = frozenset({"0A000", "42704", "58P01", "42602"})


class PostgresAdmin:
    """Connections of a role with CREATEDB and CREATEROLE, one for each piece of work.

    The lock belongs to a session, so the address must reach the server itself or a pooler that
    pools by session.
    """

    def __init__(self, *, address: str, deadline: float, sessions: int) -> None:
        self._own_secrets = _password_in(address)
        self._address = address
        self._deadline = deadline
        self._sessions = asyncio.Semaphore(sessions)

    async def run(
        self,
        *,
        service_instance_id: UUID,
        work: Callable[[Connection], Awaitable[T]],
        secrets: Iterable[str] = (),
    ) -> T:
        """Do the work under the instance's lock, or raise ProviderError."""
        task = asyncio.ensure_future(self._locked(service_instance_id, work))
        try:
            await asyncio.wait({task}, timeout=self._deadline)
        finally:
            is_late = not task.done()
            await _end(task)
        if is_late:
            raise contract.ProviderError(
                code=contract.ProviderErrorCode.TIMEOUT,
                message=f"the PostgreSQL server gave no answer within {self._deadline:g} seconds",
                is_transient=True,
            )
        error = task.exception()
        if isinstance(error, psycopg.Error | OSError):
            # Raised here and not while handling: the chain of causes would carry the raw text.
            raise _translated(error, secrets=(*secrets, *self._own_secrets))
        return task.result()

    @contextlib.asynccontextmanager
    async def inside(self, database: str) -> AsyncIterator[Connection]:
        """Connect to a tenant's database, whose contents are not to be trusted."""
        address = conninfo.make_conninfo(self._address, dbname=database)
        async with _connected(address, seconds=self._deadline) as connection:
            yield connection

    async def _locked(
        self, service_instance_id: UUID, work: Callable[[Connection], Awaitable[T]]
    ) -> T:
        key = int.from_bytes(service_instance_id.bytes[:8], signed=True)
        async with self._sessions, _connected(self._address, seconds=self._deadline) as connection:
            await connection.execute("SELECT pg_advisory_lock(%s)", (key,))
            return await work(connection)


def _password_in(address: str) -> tuple[str, ...]:
    """Return the address's password; an address that cannot be read is refused unseen."""
    try:
        password = conninfo.conninfo_to_dict(address).get("password")
    except psycopg.ProgrammingError:
        pass
    else:
        return (str(password),) if password else ()
    raise contract.ProviderError(
        code=contract.ProviderErrorCode.FAILED,
        message="the address of the PostgreSQL server is no connection string",
        is_transient=False,
    )


@contextlib.asynccontextmanager
async def _connected(address: str, *, seconds: float) -> AsyncIterator[Connection]:
    # Names are looked up in pg_catalog alone, whatever a tenant has put into its schemas. The
    # server ends a session whose client is gone or silent, so that a lock does not outlive its
    # call for long.
    settings = {
        "search_path": "pg_catalog",
        "statement_timeout": f"{seconds:g}s",
        "lock_timeout": "0",
        "default_transaction_read_only": "off",
        "client_connection_check_interval": "1s",
        "idle_session_timeout": f"{seconds:g}s",
        "idle_in_transaction_session_timeout": f"{seconds:g}s",
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
    }
    connection = await psycopg.AsyncConnection.connect(
        address,
        autocommit=True,
        prepare_threshold=None,
        application_name="servicebook-provider",
        options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
    )
    try:
        yield connection
    finally:
        await connection.close()


async def _end(task: asyncio.Future[T]) -> None:
    """Cancel the work and see it end; asked twice, psycopg gives up on a silent server."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1)
    if not task.cancelled():
        task.exception()  # seen, so that the event loop does not print it as it is


def _translated(
    error: psycopg.Error | OSError, *, secrets: Iterable[str]
) -> contract.ProviderError:
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    text = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    message = redaction.redact(text or str(error), secrets=secrets).strip()
    code, is_transient = _classified(error, state=state, message=message)
    return contract.ProviderError(
        code=code, message=f"PostgreSQL: {message}", is_transient=is_transient
    )


def _classified(
    error: Exception, *, state: str | None, message: str
) -> tuple[contract.ProviderErrorCode, bool]:
    if state is None:
        is_lost = isinstance(error, psycopg.OperationalError | OSError)
        return (
            contract.ProviderErrorCode.UNAVAILABLE if is_lost else contract.ProviderErrorCode.FAILED
        ), is_lost
    if state.startswith(_TRANSIENT_CLASSES) or state in _TRANSIENT_STATES:
        return contract.ProviderErrorCode.UNAVAILABLE, True
    if "concurrently" in message:  # two changes of one catalogue row: XX000, but a repeat succeeds
        return contract.ProviderErrorCode.UNAVAILABLE, True
    if state in _PERMISSION_STATES:
        return contract.ProviderErrorCode.PERMISSION_DENIED, False
    if state.startswith(_PARAMETER_CLASSES) or state in _PARAMETER_STATES:
        return contract.ProviderErrorCode.PARAMETERS_INVALID, False
    return contract.ProviderErrorCode.FAILED, False
