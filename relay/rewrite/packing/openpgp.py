"""The framing of an OpenPGP message: its armour, and the packets that it is made of (RFC 4880 and 9580, section 4).

What is in the packets is the library's to read. The framing tells what kind of message it is, for which keys, and where
it is cut off, which the library's errors do not say.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

ARMOUR: Final = b"-----BEGIN PGP "
"""What the armour of a message begins with."""


class Tag(IntEnum):
    """The kinds of packets that a message may begin with, or hold its content in."""

    SESSION_KEY = 1
    SIGNATURE = 2
    PASSWORD = 3
    ONE_PASS_SIGNATURE = 4
    SECRET_KEY = 5
    PUBLIC_KEY = 6
    COMPRESSED = 8
    UNPROTECTED = 9
    MARKER = 10
    LITERAL = 11
    PROTECTED = 18
    GNUPG_AEAD = 20


_FIRST_OCTETS: Final[dict[int, bytes]] = {
    Tag.SESSION_KEY: b"\x02\x03\x06",
    Tag.SIGNATURE: b"\x03\x04\x05\x06",
    Tag.PASSWORD: b"\x04\x05\x06",
    Tag.ONE_PASS_SIGNATURE: b"\x03\x06",
    Tag.SECRET_KEY: b"\x03\x04\x05\x06",
    Tag.PUBLIC_KEY: b"\x03\x04\x05\x06",
    Tag.COMPRESSED: b"\x00\x01\x02\x03",
    Tag.MARKER: b"P",
    Tag.LITERAL: b"btulm1",
    Tag.PROTECTED: b"\x01\x02",
    Tag.GNUPG_AEAD: b"\x01",
}
"""What the body of a packet may begin with: a version, a method, a format."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a packet, or of a part of one.

    `length` is that of what follows it, None if that goes on to the end; `partial` says that another part comes then.
    """

    tag: int
    size: int
    length: int | None
    partial: bool


def begins_message(head: bytes) -> bool:
    """Say whether a file that begins so is an OpenPGP message, a key or a signature, armoured or not."""
    if head.lstrip().startswith(ARMOUR):
        return True
    header = read_header(head)
    if header is None or len(head) <= header.size:
        return False
    return head[header.size] in _FIRST_OCTETS.get(header.tag, b"")


def read_header(data: bytes) -> Header | None:
    """Return the header that `data` begins with, None if it is none or not whole."""
    if not data or not data[0] & 0x80:
        return None
    if data[0] & 0x40:
        return read_length(data[1:], data[0] & 0x3F, 1)
    tag, octets = data[0] >> 2 & 0xF, (1, 2, 4, 0)[data[0] & 0x3]
    if len(data) <= octets:
        return None
    length = int.from_bytes(data[1 : 1 + octets], "big") if octets else None
    return Header(tag, 1 + octets, length, partial=False)


def read_length(data: bytes, tag: int, before: int) -> Header | None:
    """Return what the length in `data` says, in the newer format, of the packet or the part that it stands before.

    `before` is how many octets of the header came before it.
    """
    if not data:
        return None
    first = data[0]
    octets = 1 if first < 192 or 224 <= first < 255 else 2 if first < 224 else 5
    if len(data) < octets:
        return None
    if first < 192:
        length = first
    elif first < 224:
        length = (first - 192 << 8) + data[1] + 192
    elif first < 255:
        length = 1 << (first & 0x1F)
    else:
        length = int.from_bytes(data[1:5], "big")
    return Header(tag, before + octets, length, partial=224 <= first < 255)
