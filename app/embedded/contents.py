"""The databases and roles that every embedded cluster holds."""

import psycopg
from psycopg import sql

from app.embedded import cluster

LEDGER_DATABASE = "servicebook"
PROVIDER_ROLE = "servicebook_provider"

_PRIVATE_DATABASES = (LEDGER_DATABASE, "postgres", "template1")
_LOCK = 7_023_511_904  # any number, the same in every process


def ensure(address: cluster.Address) -> None:
    """Create what is missing; may be called at any time, by several processes."""
    with psycopg.connect(address.dsn("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        _ensure_database(connection)
        _ensure_provider(connection)
        for name in _PRIVATE_DATABASES:
            connection.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
            )


def _ensure_database(connection: psycopg.Connection) -> None:
    known = connection.execute(
        "SELECT 1 FROM pg_database WHERE datname = %s", (LEDGER_DATABASE,)
    ).fetchone()
    if not known:
        name = sql.Identifier(LEDGER_DATABASE)
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))


def _ensure_provider(connection: psycopg.Connection) -> None:
    """Let the postgres provider make databases and roles, and see nothing of the ledger."""
    role = sql.Identifier(PROVIDER_ROLE)
    known = connection.execute(
        "SELECT 1 FROM pg_roles WHERE rolname = %s", (PROVIDER_ROLE,)
    ).fetchone()
    if not known:
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    connection.execute(sql.SQL("ALTER ROLE {} LOGIN CREATEDB CREATEROLE NOSUPERUSER").format(role))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(role))
