"""What the landing zone answers in SFTP version 3, and the one request that is read without being copied.

Pure: bytes in, values out, and the other way round. Nothing here knows a file or a connection.
"""

import os
import stat
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from relay.sftp import VERSION, BadMessageError, Has, Kind, Status, string

_RECENT_SECONDS: Final = 180 * 24 * 3600


class RefusedError(Exception):
    """A request is answered with something other than OK; the message is for the client's eyes."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


_WRITE: Final = struct.Struct(">BII4sQI")

HANDLE_SIZE: Final = 4
"""The length of the handles that the landing zone gives out, in bytes."""


@dataclass(slots=True)
class Write:
    """A WRITE request; `payload` is a view into the packet and must not outlive it."""

    request: int
    handle: bytes
    offset: int
    payload: memoryview


def write_request(packet: memoryview) -> Write:
    """Read a WRITE request without copying its payload.

    Bytes after the payload are ignored, as OpenSSH does: older Go clients send some.

    Raises:
        BadMessageError: the packet is shorter than it says.
    """
    if len(packet) < _WRITE.size:
        raise BadMessageError("a WRITE ends within its fields")
    _, request, handle_size, handle, offset, length = _WRITE.unpack_from(packet)
    if handle_size != HANDLE_SIZE:
        # Not one of ours, whatever it is: an empty handle is never given out.
        return Write(request, b"", 0, packet[:0])
    if _WRITE.size + length > len(packet):
        raise BadMessageError("a WRITE ends within its payload")
    return Write(request, handle, offset, packet[_WRITE.size : _WRITE.size + length])


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that still lacks the number of the request that it belongs to.

    `then` is to be called when it has been given.
    """

    kind: Kind
    body: bytes
    then: Callable[[], None] | None = None

    def packet(self, request: int) -> bytes:
        """Return the whole packet, as it goes over the wire."""
        return struct.pack(">IBI", 5 + len(self.body), self.kind, request) + self.body


def version(extensions: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the VERSION packet, which answers INIT and alone among the answers has no request number."""
    body = b"".join(string(name) + string(data) for name, data in extensions)
    return struct.pack(">IBI", 5 + len(body), Kind.VERSION, VERSION) + body


def status(code: Status, message: str) -> Answer:
    """Say how a request ended."""
    return Answer(Kind.STATUS, code.to_bytes(4, "big") + string(message.encode()) + string(b"en"))


OK: Final = status(Status.OK, "Success")


def handle(value: bytes) -> Answer:
    """Give a handle out."""
    return Answer(Kind.HANDLE, string(value))


def data(content: bytes) -> Answer:
    """Answer READ."""
    return Answer(Kind.DATA, string(content))


def attributes(found: os.stat_result) -> Answer:
    """Answer STAT and its like."""
    return Answer(Kind.ATTRS, _attributes(found))


def names(entries: Iterable[tuple[bytes, bytes, bytes]]) -> Answer:
    """Answer READDIR and REALPATH: for each entry its name, its line as `ls -l` has it, and its attributes."""
    listed = [string(name) + string(line) + attributes for name, line, attributes in entries]
    return Answer(Kind.NAME, len(listed).to_bytes(4, "big") + b"".join(listed))


def bare_name(name: str) -> tuple[bytes, bytes, bytes]:
    """Return an entry for `names` about which nothing but its name is said."""
    return name.encode(), name.encode(), bytes(4)


def entry(name: str, found: os.stat_result, owner: str, now: float) -> tuple[bytes, bytes, bytes]:
    """Return an entry for `names`; `owner` is shown as both owner and group, and the time as `ls` does at `now`."""
    is_recent = 0 <= now - found.st_mtime < _RECENT_SECONDS
    changed = time.strftime("%b %e %H:%M" if is_recent else "%b %e  %Y", time.gmtime(found.st_mtime))
    mode = stat.filemode(found.st_mode)
    line = f"{mode} {found.st_nlink:>4} {owner:<8} {owner:<8} {found.st_size:>12} {changed} {name}"
    return name.encode(), line.encode(), _attributes(found)


def numbers64(*values: int) -> Answer:
    """Answer an extended request with 64-bit numbers."""
    return Answer(Kind.EXTENDED_REPLY, struct.pack(f">{len(values)}Q", *values))


def _attributes(found: os.stat_result) -> bytes:
    return struct.pack(
        ">IQIIIII",
        Has.SIZE | Has.OWNER | Has.MODE | Has.TIMES,
        found.st_size,
        found.st_uid,
        found.st_gid,
        found.st_mode,
        _moment(found.st_atime),
        _moment(found.st_mtime),
    )


def _moment(seconds: float) -> int:
    return min(max(int(seconds), 0), 0xFFFFFFFF)
