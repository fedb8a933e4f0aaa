"""Who asks."""

import strawberry

from app.access import caller
from app.graphql import context
from app.graphql.types import enums


async def _is_in_beta(root: "Viewer", info: context.Info) -> bool:
    return await info.context.application.admission.is_in_beta(root.subject)


@strawberry.type(description="Whoever the token of this request speaks for.")
class Viewer:
    """Whoever the token of this request speaks for."""

    subject: str = strawberry.field(description="The caller, as the sign-in names it.")
    name: str | None = strawberry.field(description="A name for people.")
    beta: bool = strawberry.field(
        resolver=_is_in_beta, description="Signed up for Beta features, or has the Beta ended?"
    )
    roles: list[enums.Role] = strawberry.field(
        description="What the token itself allows; memberships of projects come on top."
    )


def viewer_of(who: caller.Caller) -> Viewer:
    """Return the caller as the API shows it."""
    return Viewer(
        subject=who.subject,
        name=who.name,
        roles=sorted(who.roles, key=lambda role: role.value),
    )
