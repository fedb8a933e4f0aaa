"""The orders of lists."""

import enum

import strawberry

from app.graphql.compiler.cursors import Order

_ID = ("id", "uuid")
_CREATED = (("created_at", "timestamptz"), _ID)
_UPDATED = (("updated_at", "timestamptz"), _ID)
_PREFIX = (("prefix", "text"), _ID)


@strawberry.enum(description="The order of service instances.")
class ServiceInstanceOrder(enum.Enum):
    """The order of service instances."""

    CREATED_AT_ASC = strawberry.enum_value("CREATED_AT_ASC", description="Oldest first.")
    CREATED_AT_DESC = strawberry.enum_value("CREATED_AT_DESC", description="Newest first.")
    UPDATED_AT_ASC = strawberry.enum_value(
        "UPDATED_AT_ASC", description="Unchanged for longest first."
    )
    UPDATED_AT_DESC = strawberry.enum_value("UPDATED_AT_DESC", description="Last changed first.")
    PREFIX_ASC = strawberry.enum_value("PREFIX_ASC", description="By prefix, A to Z.")
    PREFIX_DESC = strawberry.enum_value("PREFIX_DESC", description="By prefix, Z to A.")


SERVICE_INSTANCES = (
    Order("CREATED_AT_ASC", _CREATED),
    Order("CREATED_AT_DESC", _CREATED, is_descending=True),
    Order("UPDATED_AT_ASC", _UPDATED),
    Order("UPDATED_AT_DESC", _UPDATED, is_descending=True),
    Order("PREFIX_ASC", _PREFIX),
    Order("PREFIX_DESC", _PREFIX, is_descending=True),
)
API_TOKENS = (Order("API_TOKENS", _CREATED),)
PROJECTS = (Order("PROJECTS", _CREATED),)
DEPLOYMENTS = (Order("DEPLOYMENTS", (("number", "int4"), _ID), is_descending=True),)
HISTORY = (Order("HISTORY", (("version", "int4"),)),)
EVENTS = (Order("EVENTS", (("position", "int8"),), is_plain=True),)
