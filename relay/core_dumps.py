"""No core dumps: the memory of whatever handles people's rows is written to no disk (rule R1)."""

import ctypes
import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def forbid_core_dumps() -> None:
    """Have the kernel never write this process's memory anywhere, nor show it to other processes of its user.

    A program that it starts has to say so for itself.

    Raises:
        OSError: the kernel refuses, which it never does on Linux.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where dumps are piped to a program, as to systemd-coredump, the limit does not count. No package that wraps this
    # one call is kept up to date.
    if _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
