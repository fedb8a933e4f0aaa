"""The PostgreSQL of a benchmark: the embedded one, and every commit on disk before its answer."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from app import embedded

_SEGMENTS = 64
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "min_wal_size": f"{_SEGMENTS * 16}MB",
    "max_wal_size": "8GB",
    "max_connections": "300",
}


@contextlib.contextmanager
def running(**more: str) -> Iterator[embedded.Address]:
    """Hold a server with nothing in it, gone afterwards; `more` are settings."""
    with tempfile.TemporaryDirectory(
        prefix="servicebook-benchmark-", ignore_cleanup_errors=True
    ) as place:
        Path(place).chmod(0o711)
        with embedded.running(data=Path(place, "postgres"), settings=SETTINGS | more) as address:
            _write_segments(address)
            yield address


def _write_segments(address: embedded.Address) -> None:
    """Bring the server to where it is once it has run for a while: it reuses its segments of WAL.

    Until then the session that comes to the end of one makes the next, 16 MB of zeros on disk, and
    all others wait: whoever writes most would be measured as the slowest.
    """
    with psycopg.connect(address.dsn("postgres"), autocommit=True) as connection:
        for _ in range(_SEGMENTS):
            connection.execute("SELECT pg_logical_emit_message(false, '', ''), pg_switch_wal()")
        connection.execute("CHECKPOINT")


def create_database(address: embedded.Address, *, name: str, template: str = "template1") -> str:
    """Make a database and return its connection string."""
    with psycopg.connect(address.dsn("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        connection.execute(
            sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
        )
    return address.dsn(name)
