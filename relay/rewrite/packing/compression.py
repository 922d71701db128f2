"""Files that are compressed as a whole: gzip and zstd, whole to their last byte (rule K6)."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from backports import zstd
from isal import igzip, isal_zlib

from relay.rewrite.packing.members import Member
from relay.rewrite.packing.room import Room, pieces_of
from relay.rewrite.unusable import Unusable, UnusableSource

SEND_AGAIN: Final = "Have the export sent again, as a whole."

_DAMAGE: Final = (gzip.BadGzipFile, cast("type[Exception]", isal_zlib.error), zstd.ZstdError)


class _Stream(Protocol):
    """What a decompressor is used for."""

    def read(self, size: int, /) -> bytes: ...


def gunzip(path: Path, room: Room, depth: int) -> Iterator[Member]:
    """Unpack a gzip file of one member or several.

    Raises:
        UnusableSource: it is cut off or damaged, or larger than allowed.
    """
    yield from _decompress(path, room, depth, "gzip", _open_gzip)


def _open_gzip(file: BinaryIO) -> AbstractContextManager[_Stream]:
    stream: AbstractContextManager[_Stream] = igzip.open(file, "rb")  # type: ignore[no-untyped-call]  # isal says no types here
    return stream


def unzstd(path: Path, room: Room, depth: int) -> Iterator[Member]:
    """Unpack a zstd file of one frame or several; see `gunzip`."""
    yield from _decompress(path, room, depth, "zstd", lambda file: zstd.open(file, "rb"))


def _decompress(
    path: Path, room: Room, depth: int, kind: str, decompressor: Callable[[BinaryIO], AbstractContextManager[_Stream]]
) -> Iterator[Member]:
    with path.open("rb") as file, decompressor(file) as stream:
        yield Member(room.write(_whole(stream, path, kind), depth))


def _whole(stream: _Stream, path: Path, kind: str) -> Iterator[bytes]:
    """Yield what comes out, and say of trouble where it is; only what the data is to blame for is its trouble."""
    unpacked = 0
    try:
        for piece in pieces_of(stream.read):
            unpacked += len(piece)
            yield piece
    except EOFError:
        raise UnusableSource(
            Unusable.TRUNCATED,
            f"its {kind} data is cut off: the file ends after {path.stat().st_size:,} bytes, before the end of "
            "the data",
            SEND_AGAIN,
        ) from None
    except _DAMAGE:
        raise UnusableSource(
            Unusable.DAMAGED,
            f"its {kind} data is damaged, or something else follows it"
            + (f", behind the first {unpacked:,} bytes that come out of it" if unpacked else ""),
            f"{SEND_AGAIN} If it is damaged again, see that it is sent in binary mode.",
        ) from None
