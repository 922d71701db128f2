"""Sockets that the service manager listens on for us and has handed over: systemd's socket activation.

They stay open for the life of the process, whatever is listened with: who connects meanwhile waits in their queue. The
protocol is two variables and the descriptors from 3 on; the libraries for it are the same as for `notify`.
"""

import os
import socket
from typing import Final

from relay.model import RelayError

_FIRST_DESCRIPTOR: Final = 3
_TCP: Final = {socket.AF_INET, socket.AF_INET6}


def inherited_sockets() -> tuple[socket.socket, ...]:
    """Take over what was handed to this very process, so that no child thinks it is its own; mostly nothing.

    Raises:
        RelayError: something else than a listening TCP socket was handed over.
    """
    to, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if to != str(os.getpid()) or not count.isdecimal():
        return ()
    return tuple(_taken(_FIRST_DESCRIPTOR + number) for number in range(int(count)))


def _taken(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)  # noqa: FBT003  as the os module has it
    try:
        taken = socket.socket(fileno=descriptor)
        if taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and taken.family in _TCP:
            return taken
    except OSError:
        pass  # No socket at all.
    raise RelayError(
        "the service manager handed over something else than a listening TCP socket",
        hint="In relay.socket, use nothing but ListenStream= with a port, or an address and a port.",
    )
