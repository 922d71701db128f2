"""An SFTP server's answers, played by a test to the client of the way out, without a connection."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from parts.sftp import string
from relay.sftp import Inbox, Kind

OK = 0
VERSION = string(struct.pack(">BI", Kind.VERSION, 3))


@dataclass(frozen=True)
class Asked:
    """A request: what it asks for, its number, and its fields."""

    kind: int
    number: int
    body: bytes


def answer(kind: int, number: int, body: bytes) -> bytes:
    """Return an answer as it goes over the wire."""
    return string(struct.pack(">BI", kind, number) + body)


def status(number: int, code: int = OK) -> bytes:
    """Return a STATUS."""
    return answer(Kind.STATUS, number, code.to_bytes(4, "big") + string(b"the peer's words") + string(b"en"))


class Channel:
    """What the client writes to in place of asyncssh's channel: each request is passed on to `asked`."""

    def __init__(self, asked: Callable[[Asked], None]) -> None:
        self.writes = 0
        self.aborted = False
        self._asked = asked
        self._inbox = Inbox()

    def write(self, packets: bytes) -> None:
        """Take whole requests, as many as come."""
        self.writes += 1
        self._inbox.feed(packets)
        while (packet := self._inbox.take()) is not None:
            asked = Asked(packet[0], int.from_bytes(packet[1:5], "big"), bytes(packet[5:]))
            del packet
            self._asked(asked)

    def abort(self) -> None:
        """Be closed at once."""
        self.aborted = True
