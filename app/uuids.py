"""UUIDs made from their bytes, at a third of the time that the class takes: each event has some.

RFC 9562 says which bits tell version and variant.
"""

import os
from uuid import UUID, SafeUUID

_VERSION, _VARIANT = 0xF << 76, 0b11 << 62
_RFC_9562 = 0b10 << 62
# The class checks what it is given, of which nothing can be wrong here. psycopg does it likewise.
_new, _set, _unknown = object.__new__, object.__setattr__, SafeUUID.unknown


def random() -> UUID:
    """Return a random UUID, of version 4."""
    return of_bytes(os.urandom(16), version=4)


def of_digits(digits: str) -> UUID:
    """Return the UUID of 32 hexadecimal digits."""
    return _made(int(digits, 16))


def of_bytes(value: bytes, *, version: int) -> UUID:
    """Return the UUID of 16 bytes, with its version in place of some bits."""
    number = int.from_bytes(value, "big") & ~(_VERSION | _VARIANT)
    return _made(number | version << 76 | _RFC_9562)


def _made(number: int) -> UUID:
    made = _new(UUID)
    _set(made, "int", number)
    _set(made, "is_safe", _unknown)
    return made
