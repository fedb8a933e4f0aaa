"""Become a server's program: as another account, and ending with the parent.

Run as a file, with the arguments PARENT UID GID SIGNAL PROGRAM ARGUMENT... A process of its own,
because code between fork and exec is unsafe in a program with threads.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Replace this process by the program."""
    parent, uid, gid, number = (int(word) for word in sys.argv[1:5])
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)  # before the death signal, which a change of account forgets
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before the line above, so no signal will come
        sys.exit("the process that wanted the server is gone")
    os.execv(sys.argv[5], sys.argv[5:])  # noqa: S606  the arguments are ours, no shell is wanted


if __name__ == "__main__":
    main()
