"""Thousands of random operations: the short way, the executor and a naive reference agree.

The operations are grown from the schema, others in each run; for queries of different callers and
for mutations. `tests/app/graphql/test_shortcut.py` asks a few hundred in the same way.

    python -m tests.faults.random_operations [OPERATIONS] [SEED]
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_OPERATIONS = 3_000
_TAIL = 4_000  # characters of what disagreed


def run(*, operations: int, seed: int) -> dict[str, Any]:
    """Ask; say how many went which way, and what disagreed."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        ran = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-n0", f"--junitxml={report.name}",
                "--override-ini=junit_family=xunit1", "-k", "test_random",
                "tests/app/graphql/test_shortcut.py",
            ],
            capture_output=True,
            check=False,
            cwd=_ROOT,
            env={
                **os.environ, "RANDOM_OPERATIONS": str(operations), "RANDOM_SEED": str(seed)
            },
            text=True,
        )  # fmt: skip
        cases = ET.parse(report.name).getroot().iter("testcase")  # noqa: S314  our own
        figures: dict[str, Any] = {
            case.attrib["name"]: {
                each.attrib["name"]: int(each.attrib["value"]) for each in case.iter("property")
            }
            for case in cases
        }
    figures |= {"seed": seed, "passed": ran.returncode == 0}
    return figures if figures["passed"] else figures | {"disagreed": ran.stdout[-_TAIL:]}


def main(operations: int = _OPERATIONS, seed: int | None = None) -> None:
    """Run and print."""
    figures = run(operations=operations, seed=secrets.randbelow(2**32) if seed is None else seed)
    print(json.dumps(figures, indent=2))  # noqa: T201  the result
    raise SystemExit(0 if figures["passed"] else 1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
