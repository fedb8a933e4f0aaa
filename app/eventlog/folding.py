"""Parts folded by a program of its own, which needs little of what its caller has imported.

It is sent the work and then numbers of parts, and answers each when it is done. It ends when
nobody is there any more to send it the next: with its parent, however that one ends.
"""

import contextlib
import gc
import multiprocessing
import subprocess
import sys
from multiprocessing import connection as pipes

from app.eventlog import parts

_OBJECTS_BETWEEN_COLLECTIONS = 100_000  # folding makes no cycles


class ProcessEndedError(Exception):
    """A process that folds has ended before it was told to."""


class Process:
    """Folds parts, one after the other, in a process that it starts."""

    def __init__(self, work: parts.Work) -> None:
        self._pipe, its = multiprocessing.Pipe()
        with its:
            self._process = subprocess.Popen(  # noqa: S603  this program
                [sys.executable, "-P", "-m", __name__, str(its.fileno())],
                pass_fds=[its.fileno()],
                start_new_session=True,  # Ctrl-C is for the parent
            )
        self._pipe.send(work)

    def close(self) -> int:
        """End the process, and return its exit code."""
        self._pipe.close()
        return self._process.wait()

    def fold(self, number: int) -> None:
        """Fold a part and store its rows. Raises what was raised there, and ProcessEndedError."""
        try:
            self._pipe.send(number)
            error: Exception | None = self._pipe.recv()
        except (EOFError, OSError) as lost:
            raise ProcessEndedError(
                f"A process that folds the log ended with code {self._process.wait()}"
            ) from lost
        if error is not None:
            raise error


def _main(pipe: pipes.Connection) -> None:
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    work, folder = pipe.recv(), None
    while True:
        number = pipe.recv()
        try:
            folder = folder or parts.Folder(work)
            folder.fold(number)
        except Exception as error:  # noqa: BLE001  the parent raises it
            pipe.send(error)
        else:
            pipe.send(None)


if __name__ == "__main__":
    with contextlib.suppress(EOFError, OSError):  # nobody is there any more
        _main(pipes.Connection(int(sys.argv[1])))
