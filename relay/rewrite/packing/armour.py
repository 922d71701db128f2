"""The ASCII armour of OpenPGP messages, taken off piece by piece (RFC 4880, section 6)."""

import binascii
import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from relay.rewrite.packing.openpgp import ARMOUR
from relay.rewrite.packing.room import PIECE, pieces_of
from relay.rewrite.unusable import Unusable, UnusableSource

SEND_AGAIN: Final = "Have the export sent again, as a whole."

_END: Final = b"-----END PGP MESSAGE-----"
_LONGEST_LINE: Final = 1000
_BLANKS: Final = b" \t\r\n"


def is_armoured(head: bytes) -> bool:
    """Say whether a message that begins so has armour."""
    return head.lstrip().startswith(ARMOUR)


def kind_of_armour(head: bytes) -> str:
    """Return what the armour says it holds: `MESSAGE`, `PUBLIC KEY BLOCK`, `SIGNED MESSAGE` and the like."""
    found = re.match(rb"-----BEGIN PGP ([A-Z ,/0-9]{1,40})-----", head.lstrip())
    return found[1].decode() if found else ""


def taken_off(file: BinaryIO) -> Iterator[bytes]:
    """Yield what is in the armour of a message. Its checksum is not looked at: the encryption has a better one.

    Raises:
        UnusableSource: the armour is cut off or damaged, or something follows it.
    """
    _skip_headers(file)
    rest, padded = b"", False
    for piece in pieces_of(file.read):
        text, mark, behind = piece.partition(b"-")
        if not padded:
            # What follows the first "=" is padding and the checksum.
            text, padding, _ = text.partition(b"=")
            padded = bool(padding)
            rest += text.translate(None, _BLANKS)
            whole = len(rest) - len(rest) % 4
            yield _decoded(rest[:whole])
            rest = rest[whole:]
        if mark:
            _check_end(mark + behind + file.read(PIECE))
            yield _decoded(rest + b"=" * (-len(rest) % 4))
            return
    raise _cut_off()


def _skip_headers(file: BinaryIO) -> None:
    """Read on to behind the blank line between the headers and the data."""
    begun = False
    while line := file.readline(_LONGEST_LINE):
        if begun and not line.strip():
            return
        begun = begun or bool(line.strip())
    raise _cut_off()


def _check_end(end: bytes) -> None:
    if not end.startswith(_END):
        raise _cut_off() if _END.startswith(end.rstrip(_BLANKS)) else _damaged("its last line is not as it should be")
    if end[len(_END) :].strip(_BLANKS):
        raise _damaged("something else follows its end")


def _decoded(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise _damaged("it is not Base64") from None


def _cut_off() -> UnusableSource:
    return UnusableSource(Unusable.TRUNCATED, "the OpenPGP message is cut off: its armour has no last line", SEND_AGAIN)


def _damaged(what: str) -> UnusableSource:
    return UnusableSource(Unusable.DAMAGED, f"the armour of the OpenPGP message is damaged: {what}", SEND_AGAIN)
