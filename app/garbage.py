"""How Python looks for cycles that nobody refers to any more: seldom, and not in what stays."""

import gc

_OBJECTS = 5_000  # made and still there, between two looks at those
_LOOKS = 20  # at the youngest, between two at those that outlived one


def spare_what_stays() -> None:
    """Leave what is there now out of all later looks; for when a server has started.

    Modules, schema and read models' descriptions are 100,000 objects. A look at all of them
    stops every request for 20 to 50 ms, and requests cause one about every second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, _LOOKS)
