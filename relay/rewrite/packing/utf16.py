"""Text in UTF-16 that says so with a byte-order mark: written anew in UTF-8, line by line the same (rule K2)."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from relay.rewrite.packing.room import Room, pieces_of
from relay.rewrite.unusable import Unusable, UnusableSource

_MARKS: Final = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def is_utf16(head: bytes) -> bool:
    """Say whether a file that begins so is text in UTF-16."""
    return _encoding(head) is not None


def to_utf8(path: Path, room: Room, depth: int) -> Path:
    """Write the same text in UTF-8, without byte-order mark, and return where.

    Raises:
        UnusableSource: it is cut off within a character, or is not UTF-16.
    """
    with path.open("rb") as file:
        encoding = _encoding(file.read(4)) or "utf-16-le"
        file.seek(len(codecs.BOM_UTF16_LE))
        return room.write(_transcoded(pieces_of(file.read), encoding), depth)


def _encoding(head: bytes) -> str | None:
    if head.startswith(codecs.BOM_UTF32_LE):
        return None
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def _transcoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the text in UTF-8. What is half a character at a piece's end goes with the next piece."""
    decode = codecs.getdecoder(encoding)
    line, rest = 1, b""
    for piece in pieces:
        rest += piece
        # A lone half of a surrogate pair may find the other half in the next piece.
        whole = len(rest) - len(rest) % 2
        keep = 2 if _ends_in_high_surrogate(rest[:whole], encoding) else 0
        now, rest = rest[: whole - keep], rest[whole - keep :]
        text = _decoded(decode, now, line)
        line += text.count("\n")
        yield text.encode()
    if rest:
        raise UnusableSource(
            Unusable.TRUNCATED,
            f"line {line}, the last, ends within a character of UTF-16",
            "The file is cut off: have the export sent again, as a whole.",
        )


def _ends_in_high_surrogate(data: bytes, encoding: str) -> bool:
    if len(data) < 2:
        return False
    return 0xD8 <= (data[-1] if encoding == "utf-16-le" else data[-2]) <= 0xDB


def _decoded(decode: "codecs._Decoder", data: bytes, line: int) -> str:
    try:
        return decode(data, "strict")[0]
    except UnicodeDecodeError as error:
        at = line + decode(data[: error.start], "strict")[0].count("\n")
        raise UnusableSource(
            Unusable.NOT_TEXT,
            f"line {at} is not UTF-16, as which the file begins: it has half of a surrogate pair",
            "Have the export written in UTF-8.",
        ) from None
