"""A hundred thousand forged proofs and many thousand forged exports: none may be believed."""

import json
import random
import sys
import time

from tests.app.audit import forgery, naive, test_exports

PROOFS = 100_000
EXPORTS = 20_000
LEAVES = 300
SEED = 20_260_301


def main() -> None:
    """Forge, and print what was believed."""
    started = time.monotonic()
    chance = random.Random(SEED)  # noqa: S311  the same each time
    grown = forgery.Grown.of([naive.leaf(b"%d" % number) for number in range(LEAVES)])
    proofs = forgery.accepted(grown, count=PROOFS, chance=chance)
    exports = [
        first
        for number in range(EXPORTS)
        for mutated, first in [test_exports.mutation(chance)]
        if not test_exports.is_found(mutated, first, has_hashes=bool(number % 2))
    ]
    figures = {
        "proofs_forged": PROOFS,
        "proofs_believed": len(proofs),
        "exports_forged": EXPORTS,
        "exports_believed_or_misplaced": len(exports),
        "seconds": round(time.monotonic() - started, 1),
        "passed": not proofs and not exports,
    }
    print(json.dumps(figures))  # noqa: T201  the result
    sys.exit(0 if figures["passed"] else 1)


if __name__ == "__main__":
    main()
