"""A task that is not done yet, and nothing is wrong."""

from datetime import UTC, datetime

_LOOK_AGAIN = 60.0  # seconds


class AgainLater(Exception):  # noqa: N818  it is no error
    """Ask for the task to be run again after a pause."""

    def __init__(self, *, pause: float) -> None:
        super().__init__(f"again in {pause:.1f} seconds")
        self.pause = pause


def not_before(moment: datetime) -> None:
    """Ask to be run again if this machine's clock says that the moment is still to come.

    The database's clock says that it has come: the queue goes by that. A clock that somebody sets
    ahead shall make nothing due, so both must say so.
    """
    early = (moment - datetime.now(UTC)).total_seconds()
    if early > 0:
        raise AgainLater(pause=min(early, _LOOK_AGAIN))
