"""The caller of a request, and how far its token reaches."""

import dataclasses
import enum
from typing import NamedTuple
from uuid import UUID

PROGRAM, RECEIVER, COMMAND_LINE = "servicebook", "receiver of the webhook", "command line"
SYSTEM_ACTORS = frozenset({PROGRAM, RECEIVER, COMMAND_LINE})
"""Who acts when no caller does; no token may speak for these."""

_LONGEST_SUBJECT = 255


class Role(enum.Enum):
    """What a caller may do, in a project or on the whole platform."""

    VIEWER = "VIEWER"
    DEVELOPER = "DEVELOPER"
    MANAGER = "MANAGER"
    OPERATOR = "OPERATOR"
    AUDITOR = "AUDITOR"


PROJECT_ROLES = (Role.VIEWER, Role.DEVELOPER, Role.MANAGER)
"""Roles in a project, each with what the one before it may do."""

PLATFORM_ROLES = frozenset({Role.OPERATOR, Role.AUDITOR})
"""Roles in all projects, and beyond them."""


class Proof(NamedTuple):
    """What a token told when it was looked up: a caller is who it was while it tells the same."""

    token_hash: str
    """In hexadecimal digits."""
    told: str


class UnprovenError(Exception):
    """A remembered caller has to sign in: its token tells something else, or was not asked."""


@dataclasses.dataclass(eq=False)
class Doubt:
    """Is a remembered caller still who it was? Of one request: the first statement settles it."""

    proof: Proof
    is_settled: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caller:
    """Whoever a token speaks for.

    A project role among `roles` is what the token has in its `projects`, whether its subject is
    a member or not. Without one, it has what its subject's memberships give: in its `projects`
    only, if there are any.
    """

    subject: str
    name: str | None
    token_id: str
    roles: frozenset[Role] = frozenset()
    projects: frozenset[UUID] = frozenset()
    is_in_beta: bool = False
    """Had the subject signed up for Beta features when it signed in?"""
    doubt: Doubt | None = dataclasses.field(default=None, compare=False, repr=False)
    """Of a remembered caller, for which nothing is done or shown until it is settled."""

    def remembered(self, proof: Proof) -> "Caller":
        """Return the caller for another request, in doubt until that is proven.

        What dataclasses.replace does, at a fraction of its time: each request is asked this.
        """
        same = object.__new__(Caller)
        object.__setattr__(same, "__dict__", self.__dict__ | {"doubt": Doubt(proof)})
        return same

    @property
    def proof(self) -> Proof | None:
        """What is still to be proven, by the statement that reads for the caller or admits it."""
        return None if self.doubt is None or self.doubt.is_settled else self.doubt.proof

    def settle(self, told: str | None) -> None:
        """Take in what the token tells now. Raises UnprovenError if that is something else."""
        if self.doubt is not None and not self.doubt.is_settled:
            if told != self.doubt.proof.told:
                raise UnprovenError
            self.doubt.is_settled = True

    def require_proven(self) -> None:
        """Raise UnprovenError if that is still to be proven."""
        if self.proof is not None:
            raise UnprovenError

    @property
    def granted_role(self) -> Role | None:
        """The project role that the token itself brings along."""
        return next((role for role in reversed(PROJECT_ROLES) if role in self.roles), None)


def is_subject(text: str) -> bool:
    """Can a token speak for a subject of this name?

    Not for those who act for the program itself: what the history tells must be true.
    """
    is_plain = text.isprintable() and text == text.strip()
    return is_plain and 0 < len(text) <= _LONGEST_SUBJECT and text not in SYSTEM_ACTORS
