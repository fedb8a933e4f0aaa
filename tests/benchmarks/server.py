"""The PostgreSQL of a benchmark: the embedded one, and every commit on disk before its answer."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from app import embedded

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
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
            yield address


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
