"""The product's worker, forked: as `servicebook worker`, where wanted with less patience."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from app import bootstrap, processes, settings
from app.providers import contract, redis
from app.providers.postgres import PostgresProvider


def work(environment: Mapping[str, str], log: str, patience: float | None) -> None:
    """Run tasks until killed."""
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if patience is not None:
        bootstrap._providers = _impatient(patience)
    processes.work(settings=settings.load(), say=lambda text: print(text, file=sys.stderr))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _impatient(seconds: float) -> Any:
    """Return what makes the providers that soon take silence for a failure."""

    def providers(
        found: settings.Settings, database: Any, _storage: object
    ) -> dict[str, contract.Provider]:
        host, _, port = database.provider_address.rpartition(":")
        made: dict[str, contract.Provider] = {
            "postgres": PostgresProvider(
                address=database.provider_dsn, host=host, port=int(port), deadline=seconds
            )
        }
        if found.redis_provider_url is not None:
            made["redis"] = redis.RedisProvider(
                url=found.redis_provider_url,
                address=found.redis_provider_address,
                deadline=seconds,
            )
        return made

    return providers
