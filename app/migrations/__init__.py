"""The schema of the database, as numbered files, and the runner that applies them.

0001_ledger.sql   the log, its guards, and the schema of the read models
0002_secrets.sql  sealed credentials
0003_access.sql   API tokens
0004_work.sql     tasks that broke
0005_tokens.sql   hashes of API tokens, which are facts of the log
0006_snapshots.sql  what long streams add up to
0007_epochs.sql   restored logs, and positions that tell them apart
0008_audit.sql    the Merkle tree over the log, and its signed checkpoints
0009_audit_filters.sql  indexes for each way to ask for events
0010_person_keys.sql  keys of people, and that an erased one loses its own
0011_claims.sql   how a process goes on from where it left the head of the log
0012_key_ring.sql which key ring the database belongs to
procrastinate/    the task queue's own schema, from the installed library

A released file never changes: a new thought is a new file. The tables of the read models
are not here; `app.eventlog.rebuild` makes them from their descriptions.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import psycopg
from procrastinate import schema
from psycopg import errors

_OLDEST_SERVER = 160000
_LOCK = 7_310_579_001
_QUEUE = "procrastinate/"


class MigrationError(Exception):
    """The schema cannot be brought up to date."""


class ServerTooOldError(MigrationError):
    """The server lacks what the schema needs."""


class NotPermittedError(MigrationError):
    """The role, or the server as it is now, may not change the schema."""


class DatabaseTooNewError(MigrationError):
    """The database was migrated by a later version of the code."""


class MigrationChangedError(MigrationError):
    """A file differs from what was applied under its name."""


@dataclass(frozen=True)
class Migration:
    """A file of SQL and the name under which it is recorded."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """The digest of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def own_migrations() -> list[Migration]:
    """Return the files of this package in order."""
    files = [file for file in resources.files(__name__).iterdir() if file.name.endswith(".sql")]
    return [Migration(file.name, file.read_text("utf-8")) for file in sorted(files, key=_name)]


def queue_migrations() -> list[Migration]:
    """Return the files of the installed task queue in order."""
    files = sorted(Path(schema.SchemaManager.get_migrations_path()).glob("*.sql"))
    return [Migration(_QUEUE + file.name, file.read_text("utf-8")) for file in files]


async def migrate(*, conninfo: str, progress: Callable[[str], None] | None = None) -> list[str]:
    """Bring the schema up to date and return the names of what was applied.

    Processes that start together wait for each other. Raises a MigrationError.
    """
    connection = await psycopg.AsyncConnection.connect(
        conninfo, autocommit=True, connect_timeout=10
    )
    async with connection:
        _check_server(connection.info.server_version)
        await connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            return await _migrate(connection, progress or _silent)
        except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction) as error:
            raise _not_permitted(error, connection.info) from error


async def _migrate(
    connection: psycopg.AsyncConnection, progress: Callable[[str], None]
) -> list[str]:
    own, queue = own_migrations(), queue_migrations()
    applied = await _applied(connection)
    _check_names(applied, own, queue)
    _check_texts(applied, own)
    names = []
    for migration in own:
        if migration.name not in applied:
            progress(migration.name)
            await _apply(connection, migration.text, [migration])
            names.append(migration.name)
    return names + await _migrate_queue(connection, applied, queue, progress)


async def _migrate_queue(
    connection: psycopg.AsyncConnection,
    applied: Mapping[str, str],
    queue: Sequence[Migration],
    progress: Callable[[str], None],
) -> list[str]:
    """Apply the queue's whole schema at first, its newer files afterwards.

    It lives in `public`: its functions name their tables without a schema.
    """
    missing = [migration for migration in queue if migration.name not in applied]
    if len(missing) == len(queue):
        progress(_QUEUE)
        await _apply(connection, schema.SchemaManager.get_schema(), queue)
    else:
        for migration in missing:
            progress(migration.name)
            await _apply(connection, migration.text, [migration])
    return [migration.name for migration in missing]


async def _applied(connection: psycopg.AsyncConnection) -> dict[str, str]:
    await connection.execute("CREATE SCHEMA IF NOT EXISTS migrations")
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations.applied (name text PRIMARY KEY, "
        "sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    rows = await connection.execute("SELECT name, sha256 FROM migrations.applied")
    return dict(await rows.fetchall())


async def _apply(
    connection: psycopg.AsyncConnection, text: str, migrations: Sequence[Migration]
) -> None:
    """Run `text` and record what it stands for, in one transaction."""
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute("SET LOCAL search_path TO public")
        await cursor.execute(text.encode())
        await cursor.executemany(
            "INSERT INTO migrations.applied (name, sha256) VALUES (%s, %s)",
            [(migration.name, migration.sha256) for migration in migrations],
        )


def _check_server(version: int) -> None:
    if version < _OLDEST_SERVER:
        raise ServerTooOldError(
            f"The server is PostgreSQL {version // 10000}; use {_OLDEST_SERVER // 10000} or newer."
        )


def _check_names(
    applied: Mapping[str, str], own: Sequence[Migration], queue: Sequence[Migration]
) -> None:
    """Refuse a database that knows files which this code does not.

    The queue may drop old files from a release: only later names than its last are newer.
    """
    known = {migration.name for migration in own}
    last = max((migration.name for migration in queue), default=_QUEUE)
    newer = [
        name for name in applied if (name > last if name.startswith(_QUEUE) else name not in known)
    ]
    if newer:
        raise DatabaseTooNewError(
            f"The database is newer than this code: it holds {', '.join(sorted(newer))}. "
            "Start the version that migrated it, or a later one."
        )


def _check_texts(applied: Mapping[str, str], own: Sequence[Migration]) -> None:
    for migration in own:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise MigrationChangedError(
                f"{migration.name} differs from what was applied to this database. "
                "Restore the file, and put the change into a new one."
            )


def _not_permitted(error: psycopg.Error, info: psycopg.ConnectionInfo) -> NotPermittedError:
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return NotPermittedError(
            f"The database {info.dbname} is read-only for the role {info.user}, as a standby is:"
            " connect to one that can be written."
        )
    return NotPermittedError(
        f"The role {info.user} cannot make the schema of the database {info.dbname}"
        f" ({error.diag.message_primary}): it needs CREATE on the database, and on its schema"
        " public. Its owner has both."
    )


def _name(file: object) -> str:
    return str(getattr(file, "name", ""))


def _silent(_name: str) -> None:
    """Report nothing."""
