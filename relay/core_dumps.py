"""No core dumps: the memory of whatever handles people's rows is written to no disk (rule R1)."""

import resource

from relay.prctl import Wish, prctl


def forbid_core_dumps() -> None:
    """Have the kernel never write this process's memory anywhere, nor show it to other processes of its user.

    A program that it starts has to say so for itself.

    Raises:
        OSError: the kernel refuses, which it never does on Linux.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where dumps are piped to a program, as to systemd-coredump, the limit does not count.
    prctl(Wish.DUMPABLE, 0)
