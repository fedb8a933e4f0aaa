"""Run the benchmarks: all of them, or those that are named.

    python -m tests.benchmarks [NAME ...]

A benchmark is a module beside this one with a function `main`. It checks the answers before it
takes the time, compares with others in the same run, and prints a table; each runs alone, in a
process of its own.

data       the log and the read models that they share
plots      what happens in it: ordinary projects, and the largest of everything
stories    ... told by the aggregates, and by `rollouts` where deployments are told
stamping   ... and copied
server     the PostgreSQL that they share, with durable commits
report     tables, and what they were measured on
contenders what commands are compared with
peers      what requests over HTTP are compared with
node       runs what runs on Node: `web` holds it
questions  what all peers are asked
served     the product over that data
wrk        requests, counted and timed
charts     lines, as SVG
RESULTS.md the last results that were kept
"""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path


def _benchmarks() -> list[str]:
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    return [
        name
        for name in names
        if not name.startswith(("_", "test_"))
        and hasattr(importlib.import_module(f"tests.benchmarks.{name}"), "main")
    ]


def _run(name: str) -> int:
    print(f"# {name}", flush=True)
    return subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{name}"], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(max(map(_run, sys.argv[1:] or _benchmarks()), default=0))
