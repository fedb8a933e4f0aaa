"""The caller of a request and what it may do."""

import dataclasses
import enum
import uuid


class Role(enum.Enum):
    """What a caller may do beyond its own projects."""

    OPERATOR = "operator"
    """Administers everything."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caller:
    """Whoever a token speaks for."""

    subject: str
    name: str
    token_id: uuid.UUID
    roles: frozenset[Role]
