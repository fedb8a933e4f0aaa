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
        """Fold a part and store its rows. Raises what was raised there, EOFError if it died."""
        self._pipe.send(number)
        error: Exception | None = self._pipe.recv()
        if error is not None:
            raise error


def _main(pipe: pipes.Connection) -> None:
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    folder = parts.Folder(pipe.recv())
    while True:
        pipe.send(_error(folder, pipe.recv()))


def _error(folder: parts.Folder, number: int) -> Exception | None:
    try:
        folder.fold(number)
    except Exception as error:  # noqa: BLE001  the parent raises it
        return error
    return None


if __name__ == "__main__":
    with contextlib.suppress(EOFError, BrokenPipeError):
        _main(pipes.Connection(int(sys.argv[1])))
