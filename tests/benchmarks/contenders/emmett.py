"""emmett: its command handler over its PostgreSQL event store, in a process of Node."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks.contenders import contender

_WEB = Path(__file__).parents[1] / "web"


def installed() -> Path:
    """Return where npm put the peers, installed once from their lock."""
    place = _WEB / "node_modules"
    marker, lock = place / ".installed", _WEB / "package-lock.json"
    if not marker.exists() or marker.stat().st_mtime < lock.stat().st_mtime:
        npm = shutil.which("npm")
        assert npm, "The peers need Node and npm: apt-get install nodejs npm"
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=_WEB, check=True
        )
        marker.touch()
    return place


class Emmett:
    """Load, decide, commit; no read model, no command record."""

    name = "emmett"

    def __init__(self) -> None:
        self._process: subprocess.Popen[str]

    def prepare(self, conninfo: str) -> None:
        """Start Node, and add services."""
        installed()
        node = shutil.which("node")
        assert node, "The peers need Node: apt-get install nodejs"
        self._process = subprocess.Popen(
            [
                node,
                str(_WEB / "emmett.js"),
                _url(conninfo),
                str(contender.SERVICES),
                str(contender.MOST_CALLERS),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask(command="prepare")

    def run(self, *, callers: int, seconds: float) -> contender.Measured:
        """Attach and detach."""
        begin = time.perf_counter()
        answer = self._ask(command="run", callers=callers, seconds=seconds)
        return contender.Measured(answer["latencies"], time.perf_counter() - begin)

    def finish(self) -> None:
        """Count the events."""
        counted = self._ask(command="count")
        assert counted["accepted"] == counted["events"], counted
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def _ask(self, **values: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(values) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _url(conninfo: str) -> str:
    """Return the connection string as Node's driver reads it, socket included."""
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    return (
        f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}&port={parts['port']}"
    )
