"""What a plan and its parameters allow in a database, as statements."""

import re
from dataclasses import dataclass

from psycopg.sql import SQL, Composed, Identifier, Literal

from app.providers import contract

_TIMEOUT = re.compile(r"[0-9]{1,9}(ms|s|min|h)?")
_MOST_CONNECTIONS = 10_000
_OWN_CONNECTIONS = 3  # what the provider keeps for itself in a full database


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a database may take: sessions, time per statement, extensions."""

    connections: int
    statement_timeout: str
    extensions: tuple[str, ...]

    @classmethod
    def of(cls, request: contract.ResourceRequest) -> "Limits":
        """Read plan and parameters, which the catalogue has checked when they were asked for."""
        connections = request.plan.get("connections", 20)
        timeout = request.plan.get("statement_timeout", "60s")
        allowed = _names(request.plan.get("extensions", ()), "extensions of the plan")
        wanted = _names(request.parameters.get("extensions", ()), "extensions")
        if type(connections) is not int or not 1 <= connections <= _MOST_CONNECTIONS:
            raise _invalid(f"connections must be a number from 1 to {_MOST_CONNECTIONS}")
        if not isinstance(timeout, str) or not _TIMEOUT.fullmatch(timeout):
            raise _invalid("statement_timeout must be a number with ms, s, min or h")
        if refused := sorted(set(wanted) - set(allowed)):
            raise _invalid(f"the plan does not allow these extensions: {', '.join(refused)}")
        return cls(connections=connections, statement_timeout=timeout, extensions=wanted)

    def statements(self, name: str) -> tuple[Composed, ...]:
        """Return what brings the database to these limits."""
        database = Identifier(name)
        # Two versions of the login work side by side during a rotation, each with its number.
        return (
            SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(
                database, Literal(2 * self.connections + _OWN_CONNECTIONS)
            ),
            SQL("ALTER DATABASE {} SET statement_timeout = {}").format(
                database, Literal(self.statement_timeout)
            ),
            SQL("ALTER DATABASE {} SET idle_in_transaction_session_timeout = {}").format(
                database, Literal(self.statement_timeout)
            ),
            SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database),
        )


def _names(value: object, what: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise _invalid(f"{what} must be a list of names")
    return tuple(sorted({str(name) for name in value}))


def _invalid(message: str) -> contract.ProviderError:
    return contract.ProviderError(
        code=contract.ProviderErrorCode.PARAMETERS_INVALID, message=message, is_transient=False
    )
