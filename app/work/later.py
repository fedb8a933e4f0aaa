"""A task that is not done yet, and nothing is wrong."""


class AgainLater(Exception):  # noqa: N818  it is no error
    """Ask for the task to be run again after a pause."""

    def __init__(self, *, pause: float) -> None:
        super().__init__(f"again in {pause:.1f} seconds")
        self.pause = pause
