"""emmett: its command handler over its PostgreSQL event store, in a process of Node."""

import json
import subprocess
import time
from typing import Any

from tests.benchmarks import node
from tests.benchmarks.contenders import contender


class Emmett:
    """Load, decide, commit; no read model, no command record."""

    name = "emmett"

    def __init__(self) -> None:
        self._process: subprocess.Popen[str]

    def prepare(self, conninfo: str) -> None:
        """Start Node, and add services."""
        self._process = subprocess.Popen(
            [
                *node.command("emmett.js"),
                node.url(conninfo),
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
