"""What a file is, told from its first bytes and never from its name (rule K1)."""

import codecs
import tarfile
from enum import StrEnum
from pathlib import Path
from typing import Final

from relay.rewrite.packing.openpgp import begins_message
from relay.rewrite.packing.utf16 import is_utf16
from relay.rewrite.unusable import Unusable, UnusableSource

HEAD: Final = 4096
"""How many bytes are looked at."""


class Packing(StrEnum):
    """What a file may be packed in."""

    GZIP = "gzip"
    ZIP = "zip"
    TAR = "tar"
    ZSTD = "zstd"
    PGP = "pgp"


_PACKINGS: Final = (
    (b"\x1f\x8b", Packing.GZIP),
    (b"PK\x03\x04", Packing.ZIP),
    (b"PK\x05\x06", Packing.ZIP),
    (b"\x28\xb5\x2f\xfd", Packing.ZSTD),
    *((bytes((first,)) + b"\x2a\x4d\x18", Packing.ZSTD) for first in range(0x50, 0x60)),
)

_OTHER_PACKINGS: Final = (
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"PK\x07\x08", "a ZIP archive in several pieces"),
)

_PARQUET: Final = b"PAR1"

_OTHER_KINDS: Final = (
    (b"%PDF-", "a PDF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an old Microsoft Office, such as an Excel workbook (.xls)"),
    (b"\x89PNG\r\n\x1a\n", "an image (PNG)"),
    (b"\xff\xd8\xff", "an image (JPEG)"),
    (b"GIF8", "an image (GIF)"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"Obj\x01", "an Avro file"),
    (b"ORC", "an ORC file"),
    (b"PARE", "an encrypted Parquet file"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\x93NUMPY", "a NumPy array"),
    (codecs.BOM_UTF32_LE, "text in UTF-32"),
    (codecs.BOM_UTF32_BE, "text in UTF-32"),
)

_MARKUP: Final = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<?xml", "an XML document"))

_SEND_TEXT: Final = (
    "Have the export written as CSV, NDJSON, JSON or Parquet, text in UTF-8; it may be packed with gzip, ZIP, TAR or "
    "zstd, and encrypted with PGP."
)

_TAR_HEADER: Final = 512


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as file:
        return file.read(HEAD)


def packing_of(head: bytes) -> Packing | None:
    """Say what a file that begins so is packed in, None if in nothing that can be unpacked."""
    for magic, packing in _PACKINGS:
        if head.startswith(magic):
            return packing
    if begins_message(head):
        return Packing.PGP
    return Packing.TAR if _is_tar(head) else None


def refuse_other_kinds(head: bytes) -> None:
    """Refuse a file that is known not to hold rows (rule K7).

    Raises:
        UnusableSource: it is a document, an image, a program, …
    """
    if head.startswith(_PARQUET):
        return
    for magic, kind in _OTHER_PACKINGS:
        if head.startswith(magic):
            raise UnusableSource(
                Unusable.UNKNOWN_PACKING,
                f"it is {kind}; the relay unpacks gzip, ZIP, TAR, zstd and PGP",
                "Have the export packed in one of these, or not at all.",
            )
    kind_found = _other_kind(head)
    if kind_found is not None:
        raise UnusableSource(Unusable.NOT_TEXT, f"it is {kind_found}; rows of people were expected", _SEND_TEXT)


def _other_kind(head: bytes) -> str | None:
    for magic, kind in _OTHER_KINDS:
        if head.startswith(magic):
            return kind
    begin = head.removeprefix(codecs.BOM_UTF8).lstrip()[:32].lower()
    for magic, kind in _MARKUP:
        if begin.startswith(magic):
            return kind
    if _looks_like_bare_utf16(head):
        return "text in UTF-16 without a byte-order mark"
    return "binary data, which the relay does not know" if _looks_binary(head) else None


def _looks_binary(head: bytes) -> bool:
    """Say whether there are more control characters than any text has. A single one is left to be found in its line."""
    controls = sum(c < 0x20 and c not in b"\t\n\f\r\x1a\x1b" for c in head)
    return controls * 20 > len(head) and not is_utf16(head)


def _looks_like_bare_utf16(head: bytes) -> bool:
    """Say whether every other byte is NUL and the rest is not: ASCII in UTF-16, of which nothing says so."""
    even, odd = head[::2], head[1::2]
    return len(head) >= 4 and {not any(even) and all(odd), not any(odd) and all(even)} == {True, False}


def _is_tar(head: bytes) -> bool:
    """Say whether a file begins with a header of TAR, whose checksum hardly anything else has."""
    if len(head) < _TAR_HEADER or not any(head[:_TAR_HEADER]):
        return False
    try:
        tarfile.TarInfo.frombuf(head[:_TAR_HEADER], tarfile.ENCODING, "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True
