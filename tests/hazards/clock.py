"""The product, with a clock beside every call to a provider or a deployer.

Started in place of `servicebook`, it writes a line for each call to the file that CALLS names.
"""

import functools
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from app import bootstrap, cli, deployers

_PROVIDER = (
    "ensure_present",
    "ensure_configured",
    "new_secret",
    "ensure_credentials",
    "ensure_revoked",
    "ensure_absent",
)
_DEPLOYER = ("release", "observe")


def main() -> None:
    calls = Path(os.environ["CALLS"])
    make_providers, make_deployer = bootstrap._providers, deployers.create

    def providers(*given: Any) -> dict[str, Any]:
        return {
            name: _timed(provider, _PROVIDER, f"provider {name}", calls)
            for name, provider in make_providers(*given).items()
        }

    def create(**given: Any) -> Any:
        return _timed(make_deployer(**given), _DEPLOYER, "deployer", calls)

    bootstrap._providers = providers
    deployers.create = create
    cli.main()


def _timed(thing: Any, methods: tuple[str, ...], who: str, calls: Path) -> Any:
    for name in methods:
        setattr(thing, name, _clocked(getattr(thing, name), f"{who} {name}", calls))
    return thing


def _clocked(
    call: Callable[..., Awaitable[Any]], name: str, calls: Path
) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(call)
    async def clocked(*args: Any, **kwargs: Any) -> Any:
        begun = time.time()
        try:
            return await call(*args, **kwargs)
        finally:
            with calls.open("a") as file:
                file.write(json.dumps([name, begun, time.time()]) + "\n")

    return clocked
