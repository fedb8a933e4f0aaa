"""What can be added to an environment."""

import strawberry

from app.graphql import source
from app.graphql.types import enums
from app.graphql.types.scalars import JSON


@strawberry.type(description="A size or tier of an offering.")
class Plan:
    """A size or tier of an offering."""

    name: str = source.column("name", description="The name that commands take.")
    title: str = source.column("title", description="The name that people read.")
    description: str = source.column("description", description="What it gives.")
    default: bool = source.column("is_default", description="Is it taken if none is given?")
    parameters_schema: JSON = source.column(
        "parameters_schema", description="JSON Schema of the parameters that it takes."
    )


@source.rows(schema="read", table="offerings")
@strawberry.type(description="A service that the platform offers, such as postgres or redis.")
class Offering:
    """A service that the platform offers."""

    name: str = source.column("name", description="The name that commands take.")
    title: str = source.column("title", description="The name that people read.")
    description: str = source.column("description", description="What it is good for.")
    kind: enums.ServiceKind = source.column("kind", description="What it is for.")
    plans: list[Plan] = source.many(
        "true",
        rows="ROWS FROM (jsonb_to_recordset({here}.plans) AS (name text, title text,"
        " description text, is_default bool, parameters_schema jsonb)) WITH ORDINALITY AS {there}"
        "(name, title, description, is_default, parameters_schema, place)",
        order="{there}.place",
        description="Its plans.",
    )
    configured: bool = source.column(
        "is_configured", description="Is there a provider that can make it here?"
    )
    retired: bool = source.column(
        "is_retired", description="Is it closed for new instances? Existing ones stay."
    )
