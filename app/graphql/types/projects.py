"""Projects: who works in them, and what they may use."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.graphql import source
from app.graphql.types import enums
from app.graphql.types.catalogue import Offering
from app.graphql.types.nodes import Node
from app.graphql.types.scalars import DateTime

if TYPE_CHECKING:
    from app.graphql.types.environments import Environment

_ENVIRONMENTS = "app.graphql.types.environments"


@source.rows(schema="read", table="members")
@strawberry.type(description="A person who may work in a project.")
class Member:
    """A person who may work in a project."""

    subject: str = source.column("subject", description="Who, as the sign-in names the person.")
    role: enums.MemberRole = source.column("role", description="What the person may do.")
    added_at: DateTime = source.column("added_at", description="Since when.")


@source.rows(schema="read", table="subscriptions")
@strawberry.type(description="How much of an offering a project may use, and uses.")
class SubscriptionLine:
    """How much of an offering a project may use, and uses."""

    offering: Offering = source.one(
        "true",
        rows="(SELECT coalesce(o.name, asked.name) AS name, coalesce(o.title, asked.name) AS title,"
        " coalesce(o.description, '') AS description, coalesce(o.kind, 'DATABASE') AS kind,"
        " coalesce(o.is_configured, false) AS is_configured,"
        " coalesce(o.is_retired, true) AS is_retired, coalesce(o.plans, '[]'::jsonb) AS plans"
        " FROM (SELECT {here}.offering AS name) AS asked"
        " LEFT JOIN read.offerings AS o ON o.name = asked.name) AS {there}",
        description="The offering.",
    )
    units: int = source.column("units", description="How many instances the project may have.")
    used: int = source.column("used", description="How many it has.")
    over_quota: bool = source.sql(
        "({here}.used > {here}.units)",
        description="Are there more than it may have? They stay; no more can be added.",
    )


@source.rows(schema="read", table="projects")
@strawberry.type(description="A project: environments that belong together, and who works on them.")
class Project(Node):
    """A project."""

    id: strawberry.ID = source.node_id("prj")
    name: str = source.column(
        "name", description="The name; other projects may have the same, the id tells them apart."
    )
    created_at: DateTime = source.column("created_at", description="When it was created.")
    version: int = source.column(
        "version", description="Rises with each change, for `expectedVersion`."
    )
    environments: list[Annotated["Environment", strawberry.lazy(_ENVIRONMENTS)]] = source.many(
        "{there}.project_id = {here}.id AND NOT {there}.is_deleted",
        order="{there}.created_at, {there}.id",
        description="Its environments, oldest first.",
    )
    members: list[Member] = source.many(
        "{there}.project_id = {here}.id",
        order="{there}.subject",
        description="Who may work in it.",
    )
    subscription: list[SubscriptionLine] = source.many(
        "{there}.project_id = {here}.id",
        order="{there}.offering",
        description="What it may use, and uses.",
    )
