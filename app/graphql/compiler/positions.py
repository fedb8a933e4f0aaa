"""Positions of the log as clients see them."""

from typing import LiteralString

from psycopg import sql

# Restores are rare: in the log's first epoch a position is its digits.
PLACE: LiteralString = """
    CASE WHEN {position} > (SELECT coalesce(min(began_after), 9223372036854775807)
        FROM ledger.epochs WHERE number > 1)
    THEN ledger.place({position}) ELSE {position}::text END
"""


def place(position: sql.Composable) -> sql.Composable:
    """Return a position as clients see it."""
    return sql.SQL(PLACE).format(position=position)
