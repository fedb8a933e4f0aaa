"""Requests by wrk (`apt-get install wrk`), and what they cost the processors.

The machine's processors are shared by the server, PostgreSQL and wrk.
"""

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

_ROUNDS = 3
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_COUNT = re.compile(r"(\d+) requests in")
_PERCENTILE = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m) *$", re.MULTILINE)
_REFUSED = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_LUA = """\
local sent = {{ {sent} }}
local head, tail = [==[{head}]==], [==[{tail}]==]
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
{headers}
local turn = math.random(#sent)
request = function()
  turn = turn % #sent + 1
  return wrk.format(nil, nil, nil, head .. sent[turn] .. tail)
end
"""
_CHECKED = """\
response = function(status, _, body)
  if body:find('"errors"', 1, true) or body:find('"code"', 1, true) then
    print("ERRORS", body)
    wrk.thread:stop()
  end
end
"""


@dataclasses.dataclass(frozen=True)
class Measured:
    """Requests a second; seconds of the median and the 99th percentile; seconds of a processor."""

    rate: float
    count: int
    p50: float
    p99: float
    own: float
    """Of the process itself, for a request."""
    database: float
    """Of the sessions of PostgreSQL, for a request."""


@dataclasses.dataclass(frozen=True)
class Load:
    """A query that is sent over and over, each time with other variables, in turns."""

    address: str
    pid: int
    dsn: str
    query: str
    variables: Sequence[Mapping[str, object]]
    headers: Mapping[str, str]

    def warm(self, *, connections: int) -> None:
        """Send for a second. Raises if an answer is an error or a refusal, whatever its status."""
        self.run(connections=connections, seconds=1, more=_CHECKED)

    def run(self, *, connections: int, seconds: float, more: str = "") -> Measured:
        """Send for so long. Raises if anything is refused."""
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(self._script() + more)
            script.flush()
            command = [
                "wrk", "--threads", "1", "--connections", str(connections), "--latency",
                "--duration", f"{seconds:.0f}s", "--timeout", "30s", "--script", script.name,
                f"{self.address}/graphql",
            ]  # fmt: skip
            before = processor(self.pid), _database(self.dsn)
            ran = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            after = processor(self.pid), _database(self.dsn)
        if _REFUSED.search(ran) or "ERRORS" in ran:
            raise RuntimeError(ran)
        rate, count = _RATE.search(ran), _COUNT.search(ran)
        assert rate is not None, ran
        assert count is not None, ran
        took = {
            int(percent): float(value) * _SECONDS[unit]
            for percent, value, unit in _PERCENTILE.findall(ran)
        }
        done = max(1, int(count[1]))  # a second may be too short for the slowest
        own, database = after[0] - before[0], _more(before[1], after[1])
        return Measured(
            rate=float(rate[1]),
            count=done,
            p50=took[50],
            p99=took[99],
            own=own / done,
            database=database / done,
        )

    def _script(self) -> str:
        head, tail = json.dumps({"query": self.query, "variables": "%"}).split('"%"')
        sent = ", ".join(f"[==[{json.dumps(each)}]==]" for each in self.variables)
        headers = [f'wrk.headers["{name}"] = "{it}"' for name, it in self.headers.items()]
        return _LUA.format(sent=sent, head=head, tail=tail, headers="\n".join(headers))


def in_turns(loads: Mapping[str, Load], *, connections: int, seconds: float) -> dict[str, Measured]:
    """Return of each the round with the median rate, after a second to warm up for each.

    A machine that others share is slow for some seconds at a time: one round would tell of that.
    """
    rounds: dict[str, list[Measured]] = {name: [] for name in loads}
    for _ in range(_ROUNDS):
        for name, load in loads.items():
            load.warm(connections=connections)
            rounds[name].append(load.run(connections=connections, seconds=seconds))
    return {
        name: sorted(measured, key=lambda one: one.rate)[_ROUNDS // 2]
        for name, measured in rounds.items()
    }


def told(seconds: float) -> str:
    """Say how it was measured."""
    return f"Median of {_ROUNDS} rounds of {seconds:g} s, taken in turns.\n"


COMPARED = (
    "", "connections", "requests/s", "p50 ms", "p99 ms", "own us", "PostgreSQL us", "does",
    "per processor",
)  # fmt: skip
"""Headings of a comparison."""


def compared(connections: int, measured: Mapping[str, Measured]) -> list[tuple[object, ...]]:
    """Return a row for each; the last columns tell how many times as much the first one does.

    `per processor` compares what the process and PostgreSQL used for a request.
    """
    first = next(iter(measured.values()))
    return [
        (
            name,
            connections,
            each.rate,
            each.p50 * 1000,
            each.p99 * 1000,
            round(each.own * 1e6),
            round(each.database * 1e6),
            f"{first.rate / max(each.rate, 0.01):.2f} x",
            f"{(each.own + each.database) / (first.own + first.database):.2f} x",
        )
        for name, each in measured.items()
    ]


def processor(pid: int) -> float:
    """Return the seconds that a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _database(dsn: str) -> dict[int, float]:
    """Return what each session of PostgreSQL has used."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database() AND backend_type = 'client backend'"
        ).fetchall()
    used = {}
    for (pid,) in found:
        with contextlib.suppress(FileNotFoundError):
            used[pid] = processor(pid)
    return used


def _more(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """Return what was used meanwhile, by sessions that are still there."""
    return sum(used - before.get(pid, 0.0) for pid, used in after.items())
