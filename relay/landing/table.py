"""The tables of operations, in the manner of OpenSSH's `sftp-server.c`: which request is done by what, and where."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay.landing.codec import Answer
from relay.landing.operations import Operations
from relay.sftp import Fields, Kind


@dataclass(frozen=True, slots=True)
class Operation:
    """An entry of the tables. What `waits` for the disk runs in a thread."""

    run: Callable[[Operations, Fields], Answer]
    waits: bool = True


TABLE: Final[dict[int, Operation]] = {
    Kind.OPEN: Operation(Operations.open),
    Kind.CLOSE: Operation(Operations.close),
    Kind.READ: Operation(Operations.read),
    Kind.LSTAT: Operation(Operations.stat),
    Kind.FSTAT: Operation(Operations.fstat),
    Kind.SETSTAT: Operation(Operations.setstat),
    Kind.FSETSTAT: Operation(Operations.fsetstat),
    Kind.OPENDIR: Operation(Operations.opendir),
    Kind.READDIR: Operation(Operations.readdir),
    Kind.REMOVE: Operation(Operations.remove),
    Kind.MKDIR: Operation(Operations.mkdir),
    Kind.RMDIR: Operation(Operations.rmdir),
    Kind.REALPATH: Operation(Operations.realpath, waits=False),
    Kind.STAT: Operation(Operations.stat),
    Kind.RENAME: Operation(Operations.rename),
    Kind.READLINK: Operation(Operations.refuse_links, waits=False),
    Kind.SYMLINK: Operation(Operations.refuse_links, waits=False),
}
"""Every request that has a number, except WRITE, which `Operations.write` does, and EXTENDED, which has `EXTENDED`."""

EXTENDED: Final[dict[bytes, tuple[bytes, Operation]]] = {
    b"posix-rename@openssh.com": (b"1", Operation(Operations.posix_rename)),
    b"statvfs@openssh.com": (b"2", Operation(Operations.statvfs)),
    b"fsync@openssh.com": (b"1", Operation(Operations.fsync)),
    b"limits@openssh.com": (b"1", Operation(Operations.limits, waits=False)),
}
"""The extended requests by name: the version announced, and what is done."""

ANNOUNCED: Final = [(name, revision) for name, (revision, _) in EXTENDED.items()]
"""The extensions as VERSION lists them."""

_NONE: Final = Operation(Operations.refuse, waits=False)


def find(kind: int, fields: Fields) -> Operation:
    """Return what a request asks for; of EXTENDED, the name is read from `fields`.

    Raises:
        BadMessageError: an EXTENDED has no name.
    """
    if kind == Kind.EXTENDED:
        return EXTENDED.get(fields.string(), (b"", _NONE))[1]
    return TABLE.get(kind, _NONE)
