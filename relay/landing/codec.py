"""The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), as far as the landing zone speaks it.

Pure: bytes in, values out, and the other way round. Nothing here knows a file or a connection.
"""

import os
import stat
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

VERSION: Final = 3

MOST_PACKET: Final = 256 * 1024 + 1024
"""Longest packet taken, in bytes: what OpenSSH takes, and room for a WRITE that carries a full 256 KiB."""

MOST_DATA: Final = 255 * 1024
"""Most bytes of a file in one answer, and in one WRITE as far as clients that ask are told; OpenSSH's figure."""


_RECENT_SECONDS: Final = 180 * 24 * 3600


class Kind(IntEnum):
    """What a packet is."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(IntEnum):
    """How a request ended."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    OP_UNSUPPORTED = 8


class OpenFlag(IntFlag):
    """How a file is to be opened."""

    READ = 0x01
    WRITE = 0x02
    APPEND = 0x04
    CREATE = 0x08
    TRUNCATE = 0x10
    EXCLUSIVE = 0x20


class _Has(IntFlag):
    """Which attributes follow."""

    SIZE = 0x01
    OWNER = 0x02
    MODE = 0x04
    TIMES = 0x08
    EXTENDED = 0x80000000


class BadMessageError(Exception):
    """What came in is no packet of this protocol. Its session cannot go on."""


class RefusedError(Exception):
    """A request is answered with something other than OK; the message is for the client's eyes."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Inbox:
    """Cuts the bytes as they arrive into packets."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._taken = 0

    def __len__(self) -> int:
        """How many bytes wait to be taken."""
        return len(self._bytes) - self._taken

    def feed(self, received: bytes) -> None:
        """Add what was received. No packet that `take` returned before may be in use any more."""
        if self._taken:
            del self._bytes[: self._taken]
            self._taken = 0
        self._bytes += received

    def take(self) -> memoryview | None:
        """Return the next packet without its length, not copied, or None until all of it is there.

        Raises:
            BadMessageError: the packet has no type, or is longer than `MOST_PACKET`.
        """
        start = self._taken + 4
        if start > len(self._bytes):
            return None
        length = int.from_bytes(self._bytes[self._taken : start], "big")
        if not 1 <= length <= MOST_PACKET:
            raise BadMessageError(f"a packet of {length} bytes")
        if start + length > len(self._bytes):
            return None
        self._taken = start + length
        return memoryview(self._bytes)[start : self._taken]


class Fields:
    """Reads the fields of a packet, one after the other; what may follow the last one is not looked at."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._at = 0

    def u32(self) -> int:
        """Read a 32-bit number."""
        return int.from_bytes(self._raw(4), "big")

    def u64(self) -> int:
        """Read a 64-bit number."""
        return int.from_bytes(self._raw(8), "big")

    def string(self) -> bytes:
        """Read a string of bytes."""
        return self._raw(self.u32())

    def size_attribute(self) -> int | None:
        """Read attributes and return the size among them, if there is one.

        The others are what a client would like a file to have, and are not kept (mode, owner, times).
        """
        has = self.u32()
        size = self.u64() if has & _Has.SIZE else None
        self._raw(8 * bool(has & _Has.OWNER) + 4 * bool(has & _Has.MODE) + 8 * bool(has & _Has.TIMES))
        if has & _Has.EXTENDED:
            for _ in range(self.u32()):
                self.string()
                self.string()
        return size

    def _raw(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._packet):
            raise BadMessageError("a packet ends within a field")
        field = self._packet[self._at : end]
        self._at = end
        return field


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


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def version(extensions: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the VERSION packet, which answers INIT and alone among the answers has no request number."""
    body = b"".join(_string(name) + _string(data) for name, data in extensions)
    return struct.pack(">IBI", 5 + len(body), Kind.VERSION, VERSION) + body


def status(code: Status, message: str) -> Answer:
    """Say how a request ended."""
    return Answer(Kind.STATUS, code.to_bytes(4, "big") + _string(message.encode()) + _string(b"en"))


OK: Final = status(Status.OK, "Success")


def handle(value: bytes) -> Answer:
    """Give a handle out."""
    return Answer(Kind.HANDLE, _string(value))


def data(content: bytes) -> Answer:
    """Answer READ."""
    return Answer(Kind.DATA, _string(content))


def attributes(found: os.stat_result) -> Answer:
    """Answer STAT and its like."""
    return Answer(Kind.ATTRS, _attributes(found))


def names(entries: Iterable[tuple[bytes, bytes, bytes]]) -> Answer:
    """Answer READDIR and REALPATH: for each entry its name, its line as `ls -l` has it, and its attributes."""
    listed = [_string(name) + _string(line) + attributes for name, line, attributes in entries]
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
        _Has.SIZE | _Has.OWNER | _Has.MODE | _Has.TIMES,
        found.st_size,
        found.st_uid,
        found.st_gid,
        found.st_mode,
        _moment(found.st_atime),
        _moment(found.st_mtime),
    )


def _moment(seconds: float) -> int:
    return min(max(int(seconds), 0), 0xFFFFFFFF)
