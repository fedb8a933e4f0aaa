"""Which instances something goes wrong with, what, and at which of the calls about them."""

import collections
import enum
import random
import re
import threading
from collections.abc import Collection, Iterable

_NAMED = re.compile(rb"svc_([0-9a-f]{32})")
_CALLS = 5  # that every provisioning makes at least, about its instance


class Kind(enum.Enum):
    """What goes wrong."""

    TIMEOUT = "the provider does not answer"
    ZOMBIE = "the worker is frozen until its work was given away"


class Plan:
    """Each fault happens once, at the first chance from a call on that is drawn by lot."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: dict[bytes, tuple[Kind, int]] = {}
        self._calls: collections.Counter[bytes] = collections.Counter()
        self.happened: collections.Counter[Kind] = collections.Counter()

    def draw(self, services: Iterable[str], kind: Kind, *, share: float) -> None:
        """Plan a fault for a share of the services."""
        free = [each for each in map(_hex, services) if each not in self._planned]
        for each in random.sample(free, round(share * len(free))):
            self._planned[each] = (kind, random.randint(1, _CALLS))  # noqa: S311  by lot

    def due(self, chunk: bytes, kinds: Collection[Kind]) -> tuple[Kind, str] | None:
        """Return which of these goes wrong now that a worker sends the chunk, and for whom."""
        found = _NAMED.search(chunk)
        if found is None:
            return None
        with self._lock:
            each = found.group(1)
            self._calls[each] += 1
            if each not in self._planned:
                return None
            kind, call = self._planned[each]
            if kind not in kinds or self._calls[each] < call:
                return None
            del self._planned[each]
            self.happened[kind] += 1
            return kind, f"svc_{each.decode()}"

    def put_back(self, service: str, kind: Kind) -> None:
        """Let it happen later: it could not happen now."""
        with self._lock:
            self._planned[_hex(service)] = (kind, 0)
            self.happened[kind] -= 1


def _hex(service: str) -> bytes:
    return service.removeprefix("svc_").encode()
