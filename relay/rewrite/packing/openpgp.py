"""The framing of an OpenPGP message: its armour, and the packets that it is made of (RFC 4880 and 9580, section 4).

What is in the packets is the library's to read. The framing tells what kind of message it is, for which keys, and where
it is cut off, which the library's errors do not say.
"""

from dataclasses import dataclass
from enum import IntEnum
from io import SEEK_END
from typing import BinaryIO, Final

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


_LONGEST_HEADER: Final = 6
_RECIPIENT: Final = 64
"""Bytes. What is read of a session key's packet: its version and for which key it is."""

_FINGERPRINTED: Final = 6
_KEY_ID: Final = 8


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


@dataclass(frozen=True, slots=True)
class Framing:
    """What a message is made of.

    `tags` are those of its packets in their order, `recipients` the ids of the keys that it is encrypted to, of which
    nought stands for one that is not told. `ends_at` is where the last packet ends as it claims; `size` is the file's.
    """

    tags: tuple[int, ...]
    recipients: tuple[str, ...]
    ends_at: int
    size: int

    @property
    def is_cut_off(self) -> bool:
        """Whether the file ends before its last packet does."""
        return self.ends_at > self.size

    @property
    def is_followed(self) -> bool:
        """Whether something that is no packet follows the last one."""
        return self.ends_at < self.size


def read_framing(file: BinaryIO, most: int = 64) -> Framing:
    """Read the headers of a message's packets, and skip what is in them.

    Args:
        file: the message, without armour.
        most: how many packets are looked at.
    """
    size = file.seek(0, SEEK_END)
    tags: list[int] = []
    recipients: list[str] = []
    at = 0
    while at < size and len(tags) < most:
        file.seek(at)
        data = file.read(_LONGEST_HEADER + _RECIPIENT)
        header = read_header(data)
        if header is None:
            # Nothing but half a header, or no packet at all.
            is_half = bool(data[0] & 0x80) and size - at < _LONGEST_HEADER
            return Framing(tuple(tags), tuple(recipients), size + 1 if is_half else at, size)
        tags.append(header.tag)
        if header.tag == Tag.SESSION_KEY:
            recipients.append(_recipient(data[header.size :]))
        at = _end_of(file, at, header, size)
    return Framing(tuple(tags), tuple(recipients), at, size)


def _end_of(file: BinaryIO, at: int, header: Header, size: int) -> int:
    """Return where a packet ends, behind all its parts."""
    if header.length is None:
        return size
    at += header.size + header.length
    while header.partial:
        file.seek(at)
        part = read_length(file.read(_LONGEST_HEADER), header.tag, 0)
        if part is None or part.length is None:
            return size + 1
        header = part
        at += header.size + part.length
    return at


def _recipient(body: bytes) -> str:
    """Return the id of the key that a session key is for."""
    if body[:1] == bytes((_FINGERPRINTED,)):
        fingerprint = body[3 : 2 + body[1]] if len(body) > 1 and body[1] else b""
        # The id is at the beginning of a fingerprint of the newer kind, and at the end of one of the older.
        is_newer = body[2:3] == bytes((_FINGERPRINTED,))
        return (fingerprint[:_KEY_ID] if is_newer else fingerprint[-_KEY_ID:]).hex() or "0" * 2 * _KEY_ID
    return body[1 : 1 + _KEY_ID].hex()
