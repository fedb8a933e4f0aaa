"""Which page of a list is asked for."""

from typing import NamedTuple

from app.graphql import limits
from app.graphql.compiler import binding, selection

DEFAULT_PAGE = 50


class Page(NamedTuple):
    """The shape of a page."""

    is_backward: bool
    has_after: bool
    has_before: bool


def order_name(field: selection.Field, bound: binding.Binding) -> str | None:
    """Return the order that is asked for."""
    order = field.arguments(bound).get("orderBy")
    return None if order is None else str(order.value)


def asked(field: selection.Field, bound: binding.Binding, largest: int) -> Page:
    """Return the shape. Raises BAD_USER_INPUT or LIMIT_EXCEEDED."""
    arguments = field.arguments(bound)
    for name in ("first", "last"):
        size = arguments.get(name)
        if size is not None and not 1 <= size <= largest:
            message = f"`{name}` is {size}; it must be between 1 and {largest}."
            if size > largest:
                raise limits.exceeded(message, node=field.nodes[0])
            raise binding.bad_input(message, node=field.nodes[0])
    if arguments.get("first") is not None and arguments.get("last") is not None:
        raise binding.bad_input(
            "Give `first` or `last`, not both.",
            node=field.nodes[0],
        )
    return Page(
        is_backward=arguments.get("last") is not None,
        has_after=arguments.get("after") is not None,
        has_before=arguments.get("before") is not None,
    )


def size(field: selection.Field, bound: binding.Binding, largest: int) -> int:
    """Return how many rows it has at most."""
    arguments = field.arguments(bound)
    return arguments.get("first") or arguments.get("last") or min(DEFAULT_PAGE, largest)
