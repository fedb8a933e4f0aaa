"""Run the fault runs, all or those named, and print what they measured as one JSON object.

A run is a module beside this one with a function `main`, which prints one JSON object and ends
with 1 if what it measured is not good enough. Each is bounded in time.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

_LONGEST = 900  # seconds for one run
_TAIL = 2000  # characters of what a broken run said


def main() -> None:
    """Run them one after the other: each wants the machine for itself."""
    names = sys.argv[1:] or _found()
    results = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)  # noqa: T201  for who waits
        results[name] = _result(name)
    print(json.dumps(results, indent=2))  # noqa: T201  the result
    raise SystemExit(0 if all(result["passed"] for result in results.values()) else 1)


def _found() -> list[str]:
    return sorted(
        path.stem
        for path in Path(__file__).parent.glob("*.py")
        if path.stem != "__main__" and re.search(r"^def main\(", path.read_text(), re.MULTILINE)
    )


def _result(name: str) -> dict[str, object]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"tests.faults.{name}"],
            capture_output=True,
            check=False,
            cwd=Path(__file__).parents[2],
            text=True,
            timeout=_LONGEST,
        )
    except subprocess.TimeoutExpired:
        return {"passed": False, "error": f"not done within {_LONGEST} seconds"}
    try:
        figures: dict[str, object] = json.loads(done.stdout)
    except ValueError:
        return {"passed": False, "error": (done.stdout + done.stderr)[-_TAIL:]}
    return figures | {"passed": done.returncode == 0 and figures["passed"]}


if __name__ == "__main__":
    main()
