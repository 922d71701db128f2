"""The packets of SFTP version 3 as they are asked and as their answers are read: bytes in, values out, and back.

What an answer holds is never taken on trust: whatever is not one of the answers that a request can have raises
`BadMessageError`, and a status other than OK raises `StatusError`. The peer's own words are not looked at.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from relay.sftp import VERSION, BadMessageError, Fields, Kind, OpenFlag, Status, string

T = TypeVar("T")

NO_ATTRIBUTES: Final = bytes(4)

INIT: Final = struct.pack(">IBI", 5, Kind.INIT, VERSION)
"""The first packet of all."""

_LIMITS: Final = b"limits@openssh.com"
LIMITS: Final = string(_LIMITS)
"""The extended request for how long a WRITE may be."""

_HEAD: Final = struct.Struct(">IBI")
_PLACE: Final = struct.Struct(">QI")


class StatusError(Exception):
    """A request was answered with a status other than OK."""

    def __init__(self, code: int) -> None:
        super().__init__(f"SFTP status {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: what it is, and its fields after the number of the request."""

    kind: int
    fields: Fields


def request(kind: Kind, number: int, *fields: bytes) -> bytes:
    """Return a whole packet, as it goes over the wire."""
    body = b"".join(fields)
    return _HEAD.pack(5 + len(body), kind, number) + body


def head_of_write(number: int, handle: bytes, offset: int, length: int) -> bytes:
    """Return a WRITE up to its `length` bytes of content, which are to follow."""
    fields = string(handle) + _PLACE.pack(offset, length)
    return _HEAD.pack(5 + len(fields) + length, Kind.WRITE, number) + fields


def place(offset: int, length: int) -> bytes:
    """Return the fields that say which part of a file is to be read."""
    return _PLACE.pack(offset, length)


def opening(flags: OpenFlag) -> bytes:
    """Return the fields of OPEN after the name: how, and with whatever attributes the server gives a file."""
    return flags.to_bytes(4, "big") + NO_ATTRIBUTES


def announces_limits(version: bytes) -> bool:
    """Read VERSION, which answers INIT, and say whether the server can be asked for its limits.

    Raises:
        BadMessageError: it is something else, or another version than was asked for.
    """
    if version[0] != Kind.VERSION:
        raise BadMessageError(f"INIT is answered with a packet of type {version[0]}")
    fields = Fields(version[1:])
    if fields.u32() != VERSION:
        raise BadMessageError("the server speaks another version of SFTP")
    announced = {}
    while fields.left:
        name = fields.string()
        announced[name] = fields.string()
    return announced.get(_LIMITS) == b"1"


def done(answer: Answer) -> None:
    """Read the answer to a request that asks for nothing but to be done.

    Raises:
        StatusError: it was not done.
        BadMessageError: as all of these: it is no answer to such a request.
    """
    if answer.kind != Kind.STATUS:
        raise BadMessageError(f"STATUS was due, and not a packet of type {answer.kind}")
    if code := answer.fields.u32():
        raise StatusError(code)


def handle(answer: Answer) -> bytes:
    """Read the answer to OPEN and OPENDIR; raises as `done`."""
    return _read(answer, Kind.HANDLE, Fields.string)


def size(answer: Answer) -> int | None:
    """Read the size in the answer to STAT, None where the server does not say it; raises as `done`."""
    return _read(answer, Kind.ATTRS, Fields.size_attribute)


def data(answer: Answer) -> bytes:
    """Read the answer to READ, nothing at the end of the file; raises as `done`."""
    return _unless_at_end(answer, Kind.DATA, Fields.string, b"")


def names(answer: Answer) -> list[tuple[bytes, int | None]]:
    """Read the answer to READDIR, names and sizes, none at the end of the directory; raises as `done`."""
    return _unless_at_end(answer, Kind.NAME, _entries, [])


def longest_write(answer: Answer) -> int:
    """Read the answer to `LIMITS`: bytes that a WRITE may carry, 0 where the server does not say; raises as `done`."""
    return _read(answer, Kind.EXTENDED_REPLY, lambda fields: (fields.u64(), fields.u64(), fields.u64())[2])


def _read(answer: Answer, kind: Kind, read: Callable[[Fields], T]) -> T:
    if answer.kind == kind:
        return read(answer.fields)
    done(answer)
    raise BadMessageError(f"{kind.name} was due, and not that it went well")


def _unless_at_end(answer: Answer, kind: Kind, read: Callable[[Fields], T], end: T) -> T:
    try:
        return _read(answer, kind, read)
    except StatusError as status:
        if status.code == Status.EOF:
            return end
        raise


def _entries(fields: Fields) -> list[tuple[bytes, int | None]]:
    return [_entry(fields) for _ in range(fields.u32())]


def _entry(fields: Fields) -> tuple[bytes, int | None]:
    name = fields.string()
    fields.string()  # the line as `ls -l` has it
    return name, fields.size_attribute()
