"""ZIP archives, Zip64 too: whole, plain, and nothing but what their directory lists (rules K4 to K6)."""

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from relay.rewrite.packing.compression import SEND_AGAIN
from relay.rewrite.packing.members import Entry, Member, parts_of, refuse_member, shown_name
from relay.rewrite.packing.room import Room, pieces_of
from relay.rewrite.unusable import Unusable, UnusableSource

_END: Final = struct.Struct("<4s4H2LH")
_END64_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT: Final = 0xFFFF
_IN_END64: Final = 0xFFFFFFFF

_LARGE_ENTRY: Final = 1024
"""Bytes. Hardly an entry of a directory is longer, and the reader takes the whole directory into memory."""

_ENCRYPTED: Final = 0x1 | 0x40
_METHODS: Final = {ZIP_STORED: "stored", ZIP_DEFLATED: "deflate"}
_DAMAGE: Final = (BadZipFile, EOFError, zlib.error, struct.error, ValueError, NotImplementedError, RuntimeError)

_DOCUMENTS: Final = (
    ("xl/", "an Excel workbook (.xlsx)"),
    ("word/", "a Word document (.docx)"),
    ("ppt/", "a PowerPoint document (.pptx)"),
    ("META-INF/MANIFEST.MF", "a Java program (.jar)"),
)
_OPEN_DOCUMENT: Final = "mimetype"


def unzip(path: Path, room: Room, depth: int) -> Iterator[Member]:
    """Unpack the parts of an archive.

    Raises:
        UnusableSource: it is cut off, damaged or encrypted, has something else than files, is no archive of an export
            at all, or is larger than allowed.
    """
    with path.open("rb") as file:
        _check_end(file, path.stat().st_size, room)
        try:
            archive = ZipFile(file)
        except _DAMAGE:
            raise _damaged("its directory cannot be read") from None
        entries = archive.infolist()
        room.count_members(len(entries))
        _refuse_documents(entries)
        _check_beginning(archive, entries)
        files = [Entry(it.filename, it.file_size, it) for it in entries if not it.is_dir()]
        for entry in parts_of(files, accept_gaps=room.accept_gaps):
            _check_entry(entry.handle)
            yield Member(room.write(_whole(archive, entry.handle), depth), entry.name)


@dataclass(frozen=True, slots=True)
class _End:
    """Where an archive's directory ends, and how large it is, as the last bytes of the archive say."""

    stands_last: bool
    directory_size: int


def _check_end(file: BinaryIO, size: int, room: Room) -> None:
    """See that the archive is whole, that nothing follows it, and that its directory can be read in bounded memory."""
    end = _find_end(file, size)
    if end is None:
        raise UnusableSource(
            Unusable.TRUNCATED,
            f"the ZIP archive is cut off: its directory, which stands last, is not within its {size:,} bytes",
            SEND_AGAIN,
        )
    if not end.stands_last:
        raise _damaged("something else follows its end")
    if end.directory_size > _LARGE_ENTRY * (room.most_members + 1):
        room.count_members(room.most_members + 1)


def _find_end(file: BinaryIO, size: int) -> _End | None:
    begin = max(0, size - _END.size - _LONGEST_COMMENT - _END64_LOCATOR.size)
    file.seek(begin)
    tail = file.read()
    found = None
    place = tail.rfind(b"PK\x05\x06")
    while place >= 0 and (found is None or not found.stands_last):
        if place + _END.size <= len(tail):
            *_, directory_size, _offset, comment = _END.unpack_from(tail, place)
            if directory_size == _IN_END64:
                directory_size = _size_in_end64(file, tail[max(0, place - _END64_LOCATOR.size) : place])
            found = _End(place + _END.size + comment == len(tail), directory_size)
        place = tail.rfind(b"PK\x05\x06", 0, place)
    return found


def _size_in_end64(file: BinaryIO, locator: bytes) -> int:
    if len(locator) != _END64_LOCATOR.size or not locator.startswith(b"PK\x06\x07"):
        return _IN_END64
    _, _, offset, _ = _END64_LOCATOR.unpack(locator)
    try:
        file.seek(offset)
    except (OverflowError, ValueError, OSError):
        return _IN_END64
    end64 = file.read(_END64.size)
    return int(_END64.unpack(end64)[8]) if len(end64) == _END64.size and end64.startswith(b"PK\x06\x06") else _IN_END64


def _check_beginning(archive: ZipFile, entries: list[ZipInfo]) -> None:
    """See that the directory lists what the file begins with: of two archives in a row it would list the second."""
    if entries and min(entry.header_offset for entry in entries) != 0:
        raise _damaged("its directory does not list what it begins with, so that parts may be missing")
    if not entries and archive.start_dir != 0:
        raise _damaged("its directory lists nothing, but it is not empty")


def _refuse_documents(entries: list[ZipInfo]) -> None:
    kind = next((kind for entry in entries for name, kind in _DOCUMENTS if entry.filename.startswith(name)), None)
    if kind is None and entries and entries[0].filename == _OPEN_DOCUMENT:
        kind = "an OpenDocument file, such as a spreadsheet (.ods)"
    if kind is not None:
        raise UnusableSource(
            Unusable.NOT_TEXT,
            f"it is {kind}; rows of people were expected",
            "Have the export written as CSV, NDJSON, JSON or Parquet.",
        )


def _check_entry(entry: ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG}:
        raise refuse_member(entry.filename, "a link" if kind == stat.S_IFLNK else "a device or the like")
    if entry.flag_bits & _ENCRYPTED:
        raise UnusableSource(
            Unusable.ENCRYPTED_ARCHIVE,
            f"{shown_name(entry.filename)} in the ZIP archive is encrypted with a password",
            "Have the archive made without a password. To have exports encrypted, use PGP.",
        )
    if entry.compress_type not in _METHODS:
        raise UnusableSource(
            Unusable.UNKNOWN_PACKING,
            f"{shown_name(entry.filename)} in the ZIP archive is compressed by method {entry.compress_type}; the relay "
            f"unpacks {' and '.join(_METHODS.values())}",
            "Have the archive made with the usual compression (deflate).",
        )


def _whole(archive: ZipFile, entry: ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(entry) as stream:
            yield from pieces_of(stream.read)
    except _DAMAGE:
        raise _damaged(f"{shown_name(entry.filename)} in it is not as its directory says") from None


def _damaged(what: str) -> UnusableSource:
    return UnusableSource(
        Unusable.DAMAGED,
        f"the ZIP archive is damaged: {what}",
        f"{SEND_AGAIN} If it is damaged again, see that it is sent in binary mode.",
    )
