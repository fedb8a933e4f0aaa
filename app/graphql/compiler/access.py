"""What a caller may see: the one place that says it.

Each statement that reaches rows from outside, by id or by list, holds this condition; rows
reached from a row that the caller sees belong to the same project.
"""

from psycopg import sql


def visible(*, there: sql.Composable) -> sql.Composable:  # noqa: ARG001  the rows decide, once callers differ
    """Return the condition on the rows `there`; an operator, the only caller so far, sees all."""
    return sql.SQL("true")
