"""A word to the service manager that started us, if one did: systemd's notification protocol.

The protocol is one datagram; the libraries for it are unmaintained or bind to systemd's C library.
"""

import os
import socket
from contextlib import suppress


def notify(*assignments: str) -> None:
    """Send `assignments` such as `READY=1` or `STATUS=…` to the service manager; without one, do nothing.

    One that does not listen loses nothing but the word: what it does about a silence is its own affair.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # An abstract socket, as systemd writes it.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager, suppress(OSError):
        manager.connect(address)
        manager.sendall("\n".join(assignments).encode())
