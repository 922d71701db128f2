"""The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02): what the landing zone and the way out have in common.

Pure: bytes in, values out, and the other way round. Nothing here knows a file or a connection, or who asks and who
answers.
"""

from collections import deque
from enum import IntEnum, IntFlag
from typing import Final

VERSION: Final = 3

MOST_PACKET: Final = 256 * 1024 + 1024
"""Longest packet taken, in bytes: what OpenSSH takes, and room for a WRITE that carries a full 256 KiB."""

MOST_DATA: Final = 255 * 1024
"""Most bytes of a file in one answer, and in one WRITE as far as clients that ask are told; OpenSSH's figure."""

_LENGTH: Final = 4
_SMALL: Final = 4096


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


class Has(IntFlag):
    """Which attributes follow."""

    SIZE = 0x01
    OWNER = 0x02
    MODE = 0x04
    TIMES = 0x08
    EXTENDED = 0x80000000


class BadMessageError(Exception):
    """What came in is no packet of this protocol. Its session cannot go on."""


class Inbox:
    """Cuts the bytes as they arrive into packets."""

    def __init__(self) -> None:
        self._pieces: deque[bytes | memoryview] = deque()
        self._waiting = 0

    def __len__(self) -> int:
        """How many bytes wait to be taken."""
        return self._waiting

    def feed(self, received: bytes) -> None:
        """Add what was received."""
        self._waiting += len(received)
        if self._pieces and len(self._pieces[-1]) + len(received) <= _SMALL:
            # Who sends a byte at a time must not have the memory of a piece for each.
            received = b"".join((self._pieces.pop(), received))
        self._pieces.append(received)

    def take(self) -> memoryview | None:
        """Return the next packet without its length, or None until all of it is there.

        Raises:
            BadMessageError: the packet has no type, or is longer than `MOST_PACKET`.
        """
        if self._waiting < _LENGTH:
            return None
        length = int.from_bytes(self._front(_LENGTH)[:_LENGTH], "big")
        if not 1 <= length <= MOST_PACKET:
            raise BadMessageError(f"a packet of {length} bytes")
        size = _LENGTH + length
        if self._waiting < size:
            return None
        front = self._front(size)
        self._pieces.popleft()
        if size < len(front):
            self._pieces.appendleft(front[size:])
        self._waiting -= size
        return front[_LENGTH:size]

    def _front(self, size: int) -> memoryview:
        """Return the first piece, after it was made to have so many bytes at least: they are copied only for that."""
        first = memoryview(self._pieces[0])
        if len(first) >= size:
            return first
        parts: list[bytes | memoryview] = []
        missing = size
        while missing:
            piece = memoryview(self._pieces.popleft())
            parts.append(piece[:missing])
            if missing < len(piece):
                self._pieces.appendleft(piece[missing:])
            missing -= len(parts[-1])
        first = memoryview(b"".join(parts))
        self._pieces.appendleft(first)
        return first


class Fields:
    """Reads the fields of a packet, one after the other; what may follow the last one is not looked at."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._at = 0

    @property
    def left(self) -> bool:
        """Whether anything follows."""
        return self._at < len(self._packet)

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
        size = self.u64() if has & Has.SIZE else None
        self._raw(8 * bool(has & Has.OWNER) + 4 * bool(has & Has.MODE) + 8 * bool(has & Has.TIMES))
        if has & Has.EXTENDED:
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


def string(value: bytes) -> bytes:
    """Return a string of bytes as a packet has it."""
    return len(value).to_bytes(4, "big") + value
