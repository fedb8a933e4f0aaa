"""Pages of a list that is in memory."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

Row = dict[str, Any]


def page(found: list[Row], given: Row, order: str, *keys: str, is_down: bool = False) -> Row:
    """Return the page of sorted rows. Raises KeyError for a cursor of none of them."""

    def place(row: Row) -> tuple[Any, ...]:
        return tuple(row[key] for key in keys)

    found = sorted(found, key=place, reverse=is_down)
    cursors = [_cursor(order, place(row)) for row in found]
    low, high = 0, len(found)
    for name in ("after", "before"):
        if given.get(name) is not None:
            if given[name] not in cursors:
                raise KeyError(name)  # a row that is gone, or no cursor at all
            low = cursors.index(given[name]) + 1 if name == "after" else low
            high = cursors.index(given[name]) if name == "before" else high
    if given.get("last") is not None:
        start, end = max(low, high - given["last"]), high
    else:
        start, end = low, min(high, low + (given.get("first") or 50))
    end = max(start, end)
    is_back = given.get("last") is not None
    edges = [
        {"node": row, "cursor": cursor}
        for row, cursor in zip(found[start:end], cursors[start:end], strict=True)
    ]
    ahead = end < high if not is_back else given.get("before") is not None
    behind = start > low if is_back else given.get("after") is not None
    return {
        "nodes": found[start:end], "edges": edges, "totalCount": len(found),
        "pageInfo": {
            "hasNextPage": ahead, "hasPreviousPage": behind,
            "startCursor": edges[0]["cursor"] if edges else None,
            "endCursor": edges[-1]["cursor"] if edges else None,
        },
    }  # fmt: skip


def _cursor(order: str, keys: tuple[Any, ...]) -> str:
    text = json.dumps([order, *(_in_cursor(key) for key in keys)])
    return base64.b64encode(text.encode(), altchars=b"-_").decode().rstrip("=")


def _in_cursor(value: Any) -> Any:  # noqa: ANN401  a value of any type
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        fraction = f".{moment.microsecond:06}".rstrip("0").rstrip(".")
        return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}+00:00"
    return str(value) if isinstance(value, UUID) else value
