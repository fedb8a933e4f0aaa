"""How long to wait before the next try."""

import random


def growing(*, tries: int, first: float, longest: float) -> float:
    """Return the seconds to wait after so many tries: doubled each time, spread by a quarter."""
    seconds = min(first * 2.0 ** min(max(tries - 1, 0), 16), longest)
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311  no secret
