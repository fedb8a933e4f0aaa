"""API tokens: whom they speak for, how far they reach."""

import strawberry

from app.graphql import source
from app.graphql.types import enums
from app.graphql.types.projects import Project
from app.graphql.types.scalars import DateTime


@source.rows(schema="read", table="api_tokens")
@strawberry.type(description="An API token; not the token itself, which is shown once.")
class ApiToken:
    """An API token."""

    id: strawberry.ID = source.node_id("tok")
    name: str = source.column("name", description="What it is for.")
    subject: str = source.column("subject", description="Whom it speaks for.")
    roles: list[enums.Role] = source.sql(
        "to_json({here}.roles)",
        description="What it allows. Without a role in projects: what its subject's memberships"
        " allow.",
    )
    projects: list[Project] = source.many(
        "{there}.id = ANY({here}.projects)",
        order="{there}.created_at, {there}.id",
        description="Where it is good for anything; everywhere, if there are none.",
    )
    created_at: DateTime = source.column("created_at", description="When it was made.")
    created_by: str = source.column("created_by", description="Who made it.")
    expires_at: DateTime | None = source.column(
        "expires_at", description="When it ends on its own, if it does."
    )
    revoked_at: DateTime | None = source.column(
        "revoked_at", description="When somebody ended it, if somebody did."
    )
    last_used_at: DateTime | None = source.sql(
        "(SELECT used.last_used_at FROM access.tokens AS used WHERE used.id = {here}.id)",
        description="When it was used last, give or take a minute; null if it never was.",
    )
