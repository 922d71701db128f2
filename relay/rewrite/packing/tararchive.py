"""TAR archives, whole to their end mark (rules K4 to K6)."""

import tarfile
from collections.abc import Iterator
from io import SEEK_SET
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from relay.rewrite.packing.compression import SEND_AGAIN
from relay.rewrite.packing.members import Entry, Member, parts_of, refuse_member, shown_name
from relay.rewrite.packing.room import PIECE, Room, pieces_of
from relay.rewrite.unusable import Unusable, UnusableSource

_DAMAGE: Final = (tarfile.TarError, ValueError, OverflowError, RecursionError)

_KINDS: Final = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


def untar(path: Path, room: Room, depth: int) -> Iterator[Member]:
    """Unpack the parts of an archive.

    Raises:
        UnusableSource: it is cut off or damaged, has something else than files and directories, or is larger than
            allowed.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        # Not the reader's own mode for streams: parts come in the order of their names.
        archive = _open(file)
        entries = list(_entries(archive, room, size))
        _check_end(file, archive.offset, size)
        for entry in parts_of(entries, accept_gaps=room.accept_gaps):
            yield Member(room.write(_whole(archive, entry.handle), depth), entry.name)


class _Wary:
    """A file that gives out no more at once than a reader of TAR needs, whatever length a header claims."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= 2 * PIECE:
            raise tarfile.ReadError("a header of that length")
        return self._file.read(size)

    def seek(self, place: int, whence: int = SEEK_SET) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()


def _open(file: BinaryIO) -> tarfile.TarFile:
    try:
        return tarfile.TarFile(fileobj=cast("IO[bytes]", _Wary(file)), mode="r")
    except _DAMAGE:
        raise _damaged(0) from None


def _entries(archive: tarfile.TarFile, room: Room, size: int) -> Iterator[Entry[tarfile.TarInfo]]:
    """Yield every file that the archive has.

    Reading on is left to the archive's own idea of where the next header is, but never backwards: that would not end.
    """
    before = -1
    while True:
        at = archive.offset
        try:
            info = archive.next()
        except _DAMAGE:
            raise _cut_off(size) if archive.offset > size else _damaged(at) from None
        if info is None:
            return
        if info.offset <= before or info.size < 0:
            raise _damaged(at)
        if info.offset_data + _in_archive(info) > size:
            raise _cut_off(size, info.name)
        before = info.offset
        room.count_members(1)
        if info.isdir():
            continue
        if not info.isreg():
            raise refuse_member(info.name, _KINDS.get(info.type, "of a kind that the relay does not know"))
        yield Entry(info.name, info.size, info)


def _in_archive(info: tarfile.TarInfo) -> int:
    """Return how many bytes of a file the archive holds: of one with holes only what is between them."""
    holes: list[tuple[int, int]] | None = cast("list[tuple[int, int]] | None", info.sparse)
    return info.size if holes is None else sum(length for _, length in holes)


def _check_end(file: BinaryIO, end: int, size: int) -> None:
    """See that the archive has its end mark and that nothing follows it: of two in a row the second would be lost."""
    file.seek(min(end, size))
    mark = file.read(tarfile.BLOCKSIZE)
    if len(mark) < tarfile.BLOCKSIZE:
        raise _cut_off(size)
    if any(mark):
        raise _damaged(end)
    if any(map(any, pieces_of(file.read))):
        raise UnusableSource(
            Unusable.DAMAGED, f"something else follows the TAR archive, which ends at byte {end:,}", SEND_AGAIN
        )


def _whole(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    try:
        stream = archive.extractfile(info)
        if stream is not None:
            yield from pieces_of(stream.read)
    except _DAMAGE:
        raise _damaged(info.offset) from None


def _cut_off(size: int, name: str | None = None) -> UnusableSource:
    where = "before its end mark" if name is None else f"within {shown_name(name)}"
    return UnusableSource(
        Unusable.TRUNCATED, f"the TAR archive is cut off: it ends after {size:,} bytes, {where}", SEND_AGAIN
    )


def _damaged(at: int) -> UnusableSource:
    return UnusableSource(
        Unusable.DAMAGED,
        f"the TAR archive is damaged at byte {at:,}, where a member's header should be",
        f"{SEND_AGAIN} If it is damaged again, see that it is sent in binary mode.",
    )
