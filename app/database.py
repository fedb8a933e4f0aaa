"""Which PostgreSQL a command works with: the user's own, or the embedded one."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import psycopg
from psycopg import conninfo

from app import embedded
from app import settings as configuration

_OLDEST = 16
_ENCODING = "UTF8"
_PATIENCE = 10  # seconds
# Who is frozen in the middle of a transaction, or gone without a word, holds up everybody else by
# its locks. The server ends such sessions.
_MORTAL = {
    "idle_in_transaction_session_timeout": "2s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


class DatabaseError(Exception):
    """The database cannot be used; the text says why and what helps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Database:
    """Where the ledger is, and where the provider postgres makes databases."""

    ledger_dsn: str
    provider_dsn: str | None
    provider_address: str | None


@contextlib.contextmanager
def available(
    *, settings: configuration.Settings, progress: Callable[[str], None]
) -> Iterator[Database]:
    """Hold a database that is new enough; raises DatabaseError or EmbeddedError."""
    if settings.database_url is not None:
        _require_usable(settings.database_url)
        yield Database(
            ledger_dsn=settings.database_url,
            provider_dsn=settings.postgres_provider_dsn,
            provider_address=_provider_address(settings),
        )
        return
    with embedded.running(data=settings.cluster_directory, progress=progress) as address:
        own = address.dsn("postgres", user=embedded.PROVIDER_ROLE)
        yield Database(
            ledger_dsn=address.dsn(embedded.LEDGER_DATABASE),
            provider_dsn=settings.postgres_provider_dsn or own,
            provider_address=_provider_address(settings) or f"{address.host}:{address.port}",
        )


def mortal(dsn: str) -> str:
    """Return the connection string with settings by which no session outlives its process."""
    given = conninfo.conninfo_to_dict(dsn).get("options") or ""
    options = " ".join(f"-c {name}={value}" for name, value in _MORTAL.items())
    return conninfo.make_conninfo(dsn, options=f"{options} {given}".strip())


def _require_usable(dsn: str) -> None:
    try:
        with psycopg.connect(dsn, connect_timeout=_PATIENCE) as connection:
            version = connection.info.server_version // 10_000
            encoding = connection.info.parameter_status("server_encoding")
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise DatabaseError(f"The database of DATABASE_URL cannot be reached: {reason}") from error
    if version < _OLDEST:
        raise DatabaseError(
            f"The database of DATABASE_URL is PostgreSQL {version}; {_OLDEST} or newer is needed."
        )
    if encoding != _ENCODING:
        raise DatabaseError(
            f"The database of DATABASE_URL has the encoding {encoding}; it needs the encoding"
            f" {_ENCODING}: make it with createdb --template=template0 --encoding={_ENCODING}."
        )


def _provider_address(settings: configuration.Settings) -> str | None:
    if settings.postgres_provider_address or not settings.postgres_provider_dsn:
        return settings.postgres_provider_address
    parameters = conninfo.conninfo_to_dict(settings.postgres_provider_dsn)
    host = str(parameters.get("host") or "localhost")
    if host.startswith("/"):
        raise DatabaseError(
            "SERVICEBOOK_POSTGRES_PROVIDER_DSN names a Unix socket: say in"
            " SERVICEBOOK_POSTGRES_PROVIDER_ADDRESS which host:port applications shall use."
        )
    return f"{host}:{parameters.get('port') or 5432}"
