"""What has an id, and the pages of lists."""

from typing import Generic, TypeVar

import strawberry

_T = TypeVar("_T")


@strawberry.interface(description="Anything with an id of its own; `node` finds it again.")
class Node:
    """Anything with an id of its own."""

    id: strawberry.ID = strawberry.field(
        description="The id: opaque, and the same for ever.", metadata={"source": None}
    )


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Where a page lies in its list."""

    has_next_page: bool = strawberry.field(description="Does anything follow the page?")
    has_previous_page: bool = strawberry.field(description="Does anything come before the page?")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first entry; null if the page is empty."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last entry: `after` this one the next page begins."
    )


@strawberry.type(description="An entry of a page.")
class Edge(Generic[_T]):
    """An entry of a page."""

    cursor: str = strawberry.field(
        description="The place of the entry in the list, for `after` and `before`."
    )
    node: _T = strawberry.field(description="The entry itself.")


@strawberry.type(
    description="A page of a list. Take the next one with `after`, the previous with `before`."
)
class Connection(Generic[_T]):
    """A page of a list."""

    edges: list[Edge[_T]] = strawberry.field(description="The entries with their cursors.")
    nodes: list[_T] = strawberry.field(description="The entries.")
    page_info: PageInfo = strawberry.field(description="Where the page lies in the list.")
    total_count: int | None = strawberry.field(
        description="How many entries the whole list has; counted only when asked for."
    )
