"""Who asks."""

import strawberry

from app import application
from app.access import caller
from app.graphql.types import enums


@strawberry.type(description="Whoever the token of this request speaks for.")
class Viewer:
    """Whoever the token of this request speaks for."""

    subject: str = strawberry.field(description="The caller, as the sign-in names it.")
    name: str | None = strawberry.field(description="A name for people.")
    beta: bool = strawberry.field(description="Signed up for Beta features, or has the Beta ended?")
    roles: list[enums.Role] = strawberry.field(
        description="What the token itself allows; memberships of projects come on top."
    )


async def viewer_of(who: caller.Caller, *, use_cases: application.Application) -> Viewer:
    """Return the caller as the API shows it."""
    return Viewer(
        subject=who.subject,
        name=who.name,
        beta=await use_cases.admission.is_in_beta(who.subject),
        roles=sorted(who.roles, key=lambda role: role.value),
    )
