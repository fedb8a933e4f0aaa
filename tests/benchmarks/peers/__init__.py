"""What the product is measured against: reads over the same read models, and two kinds of writes.

bare         a Starlette handler with one statement written by hand
loaders      strawberry with data loaders
yoga         graphql-yoga with data loaders; `web` holds those that run on Node
apollo       Apollo Server with the same resolvers
postgraphile PostGraphile, whose schema is made of the tables
stock        the eventsourcing library behind strawberry
insert       a Starlette handler that inserts one row
serving      the server of those that run on Python

None of them asks who is there. All have eight connections to PostgreSQL.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks import node, questions
from tests.journeys import product

NAMES = ("bare", "loaders", "yoga", "apollo", "postgraphile")
_ON_NODE = frozenset(NAMES[2:])


@contextlib.contextmanager
def running(name: str, dsn: str) -> Iterator[questions.Peer]:
    """Run a peer in a process of its own."""
    if name in _ON_NODE:
        command, dsn = node.command(f"{name}.js"), node.url(dsn)
    else:
        command = [sys.executable, "-m", f"tests.benchmarks.peers.{name}"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DATABASE_URL": dsn, "NODE_ENV": "production"},
        cwd=product.ROOT,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, f"{name} did not start"
        yield questions.Peer(name=name, address=address, pid=process.pid)
    finally:
        process.kill()
        process.wait()
