"""Memory of the process at rest, and after a million reads, or as many as there is time for.

python -m tests.benchmarks.memory [SECONDS]
"""

import sys
from pathlib import Path

from tests.benchmarks import questions, report, served, wrk

_WANTED = 1_000_000
_SECONDS = 180
_PERCENT = 1
_CONNECTIONS = 64
_PARTS = 9  # each of one query; the first three make everything warm
_HEADINGS = ("requests", "MiB", "since the first round")


def main(seconds: float = _SECONDS) -> None:
    """Ask and print."""
    with served.running(percent=_PERCENT) as product:
        us = product.as_peer
        loads = [
            wrk.Load(
                address=us.address,
                pid=us.pid,
                dsn=product.dsn,
                query=each.text,
                variables=[
                    {"id": id_} for id_ in questions.variables(each, [us], _ids(product, each))[0]
                ],
                headers=us.headers,
            )
            for each in questions.ALL
        ]
        print(report.versions(product.dsn, "psycopg"), report.machine(), sep="\n")
        rows: list[tuple[object, ...]] = [("at rest", resident(us.pid), "")]
        done, first = 0, 0.0
        for part in range(_PARTS):
            if done >= _WANTED:
                break
            load = loads[part % len(loads)]
            done += load.run(connections=_CONNECTIONS, seconds=seconds / _PARTS).count
            now = resident(us.pid)
            if part < len(loads):
                first = now
            rows.append((done, now, f"{now - first:+.1f}"))
    print(f"{_CONNECTIONS} connections; point reads, environments and pages of 50 in turns.\n")
    print(report.table(_HEADINGS, rows))


def _ids(product: served.Served, question: questions.Question) -> list[str]:
    return [] if question.type_name is None else product.ids(question.type_name)


def resident(pid: int) -> float:
    """Return the MiB of memory of a process that are its own."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines[1:])
    return sum(int(found[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) / 1024


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
