"""The child's bond with its parent: the kernel ends it when the parent dies, whatever it is doing (rule T1)."""

import os
import signal

from relay.prctl import Wish, prctl


class OrphanedError(Exception):
    """The parent has died already, and nobody waits for an answer."""


def die_with(parent: int) -> None:
    """Have the kernel kill this process as soon as its parent dies.

    A look now and then would not do: a read that hangs comes to none, and what goes on writing meets the next daemon's
    work. It is the thread that began this process whose end counts; the daemon's loop runs in its first.

    Args:
        parent: the parent's process id, as it said itself.

    Raises:
        OrphanedError: it had died before this could be asked for.
        OSError: the kernel refuses, which it never does on Linux.
    """
    prctl(Wish.DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        raise OrphanedError
