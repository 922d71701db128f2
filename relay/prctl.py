"""What a process asks of the kernel for itself. No package that wraps this one call is kept up to date."""

import ctypes
import os
from enum import IntEnum
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Wish(IntEnum):
    """What can be asked for: the numbers of `<linux/prctl.h>`."""

    DEATH_SIGNAL = 1
    DUMPABLE = 4


def prctl(wish: Wish, value: int) -> None:
    """Ask the kernel for something that concerns this process only.

    Raises:
        OSError: it refuses, which it never does with these on Linux.
    """
    if _LIBC.prctl(int(wish), value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
