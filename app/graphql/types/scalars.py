"""Scalars beyond those of GraphQL."""

from datetime import UTC, datetime
from typing import Any, NewType

import graphql
import strawberry

from app.eventlog import epochs

DateTime = NewType("DateTime", datetime)
Position = NewType("Position", int)
JSON = NewType("JSON", object)

_NO_MOMENT = "A DateTime is a string such as 2026-01-31T09:30:00Z."


def _written_moment(value: object) -> str:
    if isinstance(value, datetime):
        utc = value.astimezone(UTC)
        return utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(value)


def _read_moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise graphql.GraphQLError(_NO_MOMENT)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise graphql.GraphQLError(_NO_MOMENT) from error
    if moment.tzinfo is None:
        raise graphql.GraphQLError("A DateTime needs an offset: end it with Z for UTC.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise graphql.GraphQLError("A DateTime is in the years 1 to 9999, in UTC.") from error


def _read_position(value: object) -> int:
    try:
        return epochs.Place.parsed(value if isinstance(value, str) else "")
    except ValueError as error:
        raise graphql.GraphQLError("A Position is what `position` returned.") from error


def _as_it_is(value: object) -> object:
    return value


SCALARS: dict[object, Any] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description="A moment: RFC 3339, in UTC, with microseconds.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=_written_moment,
        parse_value=_read_moment,
    ),
    Position: strawberry.scalar(
        name="Position",
        description=(
            "A place in the log of events: an opaque string. Each change has its own; what was"
            " recorded later has a later place. A log that was restored to an older point tells"
            " those who read further."
        ),
        specified_by_url="https://www.postgresql.org/docs/current/datatype-numeric.html",
        serialize=str,
        parse_value=_read_position,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value: for parameters, settings and the details of events.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_as_it_is,
        parse_value=_as_it_is,
    ),
}
"""The scalars by the type that annotates them."""
