"""The catalogue as a table, so that queries can join it: copied from the file at start-up.

It is no read model of events: what is offered is said by the file of this installation. An
offering that left the file stays, retired, as long as instances may name it. What a broker
offers is read back from here while the broker is not to be reached.
"""

from collections.abc import Mapping, Sequence
from typing import LiteralString

Offering = Mapping[str, object]
"""A row: name, title, description, kind, provider, is_configured, is_retired,
position_in_list, and plans as a list of {name, title, description, is_default,
parameters_schema, settings}."""

RETIRE: LiteralString = """
    UPDATE read.offerings SET is_retired = true, is_configured = false
    WHERE name <> ALL (%s::text[])
"""

UPSERT: LiteralString = """
    INSERT INTO read.offerings AS o (name, title, description, kind, provider, is_configured,
        is_retired, position_in_list, plans)
    SELECT name, title, description, kind, provider, is_configured, is_retired,
        position_in_list, plans
    FROM jsonb_to_recordset(%s::jsonb) AS new (name text, title text, description text, kind text,
        provider text, is_configured boolean, is_retired boolean, position_in_list integer,
        plans jsonb)
    ON CONFLICT (name) DO UPDATE SET title = excluded.title, description = excluded.description,
        kind = excluded.kind, provider = excluded.provider,
        is_configured = excluded.is_configured, is_retired = excluded.is_retired,
        position_in_list = excluded.position_in_list, plans = excluded.plans
"""

KNOWN: LiteralString = """
    SELECT name, title, description, kind, provider, is_retired, plans FROM read.offerings
    WHERE provider = ANY (%s::text[]) ORDER BY position_in_list, name
"""


def names(offerings: Sequence[Offering]) -> list[object]:
    """Return the parameter of RETIRE."""
    return [offering["name"] for offering in offerings]
