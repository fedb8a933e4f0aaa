"""pgbench: one row inserted and committed, prepared; what the server can do at most."""

import os
import subprocess
import tempfile
from pathlib import Path

import psycopg

from app import embedded
from tests.benchmarks.contenders import contender

_INSERT = "INSERT INTO rows (state) VALUES ('{\"wanted\": true}');\n"


class Pgbench:
    """Nothing is loaded, nothing is decided."""

    name = "pgbench insert"

    def __init__(self) -> None:
        self._conninfo = ""
        self._accepted = 0

    def prepare(self, conninfo: str) -> None:
        """Make the table."""
        self._conninfo = conninfo
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE rows (position bigserial PRIMARY KEY, state json NOT NULL)"
            )

    def run(self, *, callers: int, seconds: float) -> contender.Measured:
        """Insert."""
        with tempfile.TemporaryDirectory() as place:
            script = Path(place, "insert.sql")
            script.write_text(_INSERT)
            threads = min(callers, os.cpu_count() or 1)
            subprocess.run(
                [
                    embedded.program("pgbench"),
                    "--no-vacuum",
                    "--protocol=prepared",
                    f"--client={callers}",
                    f"--jobs={threads}",
                    f"--time={max(1, round(seconds))}",
                    f"--file={script}",
                    "--log",
                    f"--log-prefix={place}/log",
                    self._conninfo,
                ],
                check=True,
                capture_output=True,
            )
            lines = [line.split() for log in Path(place).glob("log*") for line in log.open()]
        latencies = [int(fields[2]) / 1e6 for fields in lines]
        self._accepted += len(latencies)
        return contender.Measured(latencies, sum(latencies) / callers)

    def finish(self) -> None:
        """Count the rows."""
        with psycopg.connect(self._conninfo) as connection:
            [(rows,)] = connection.execute("SELECT count(*) FROM rows").fetchall()
        assert rows == self._accepted, (rows, self._accepted)
