"""The trace that a request belongs to: W3C Trace Context."""

import re

_LONGEST = 256
_SHAPE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent(header: str | None) -> str | None:
    """Return the header if it is well formed; otherwise it is as if there were none."""
    if header is None or len(header) > _LONGEST:
        return None
    found = _SHAPE.match(header)
    if found is None:
        return None
    rest = header[found.end() :]
    # A later version may add to the end; what it adds is not understood, and not passed on.
    is_whole = not rest or (rest.startswith("-") and not header.startswith("00"))
    return found[0] if is_whole else None
