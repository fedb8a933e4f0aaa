"""The product, and the real clients that ask it."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app import embedded
from tests.journeys import client, product
from tests.journeys.conftest import launch, serving

__all__ = ["launch"]

_WEB = Path(__file__).parent / "web"
_PATIENCE = 120  # seconds

Node = Callable[..., Any]


@pytest.fixture(scope="session")
def served(server: embedded.Address, migrated_template: str) -> Iterator[client.Api]:
    """The product for all tests of the edge; a client may be silent for half a second only."""
    settings = {
        "SERVICEBOOK_WEBSOCKET_INIT_TIMEOUT": "0.5",
        "SERVICEBOOK_TOKEN_CHECK_INTERVAL": "0.3",
        "SERVICEBOOK_ALLOWED_ORIGINS": "https://console.example",
        "SERVICEBOOK_BETA_ENDED": "true",  # one of the random mutations leaves it
    }
    with (
        tempfile.TemporaryDirectory(prefix="servicebook-edge-") as place,
        product.prepared(
            server=server, template=migrated_template, directory=Path(place), settings=settings
        ) as made,
        serving(made) as api,
    ):
        yield api


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Run a script beside the installed packages, and return the JSON that it prints."""
    found = shutil.which("node"), shutil.which("npm")
    if None in found:
        missing("node and npm are not on the path: apt-get install nodejs npm")
    workshop = tmp_path_factory.mktemp("edge") / "web"
    shutil.copytree(_WEB, workshop, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    environment = {
        **os.environ,
        "npm_config_fetch_retries": "1",
        "npm_config_fetch_timeout": "20000",
        "npm_config_update_notifier": "false",
    }
    installed = _run(command, cwd=workshop, env=environment)
    if installed.returncode != 0:
        missing(f"the npm registry cannot be reached: {installed.stderr[-500:]}")

    def run(script: str, *arguments: str, given: object = None) -> Any:  # noqa: ANN401  whatever it prints
        ran = _run(["node", script, *arguments], cwd=workshop, given=json.dumps(given))
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


def _run(
    command: list[str], *, cwd: Path, env: dict[str, str] | None = None, given: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )


def missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
