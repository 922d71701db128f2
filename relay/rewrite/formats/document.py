"""One JSON document, read value by value in bounded memory, with the line that each value begins in.

Numbers stay as they are written: whether 2125550100.0 is a phone number is for the rules to say, not for a parser.
"""

import codecs
import json
import re
from typing import Any, BinaryIO, Final

from relay.rewrite.text import LONGEST_LINE
from relay.rewrite.unusable import Unusable, UnusableSource

SEND_AGAIN: Final = "The file is cut off: have the export sent again, as a whole."
WRITE_PROPERLY: Final = "Have the export written anew. If it is broken again, what writes it does not write JSON."

_PIECE: Final = 256 * 1024
_BLANKS: Final = " \t\r\n"


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)


DECODER: Final = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=_refuse_constant
)
"""An object becomes a tuple of its members, so that a name that stands twice is not lost; a number becomes its text."""


_HALF_A_CHARACTER: Final = re.compile("[\ud800-\udfff]")
_NO_CHARACTER: Final = "\uffff"
_ESCAPE: Final = "\\u"


def well_formed(value: Any) -> Any:  # noqa: ANN401  whatever the document has there
    """Return a text, or an object's names and texts, with U+FFFF for each half of a surrogate pair.

    JSON can write such halves, but no text can hold them. U+FFFF is no character, either: every rule refuses it (K10).
    """
    if isinstance(value, str):
        return _HALF_A_CHARACTER.sub(_NO_CHARACTER, value)
    if not isinstance(value, tuple):
        return value  # What is nested becomes a text first.
    return tuple((well_formed(name), well_formed(it) if isinstance(it, str) else it) for name, it in value)


class Document:
    """A JSON document in an open file, which is read forwards.

    `line` is the line of the next character.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.line = 1
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is not blank, without taking it; nothing at the end."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in _BLANKS:
                    return character
                self.line += character == "\n"
                self._at += 1
            if self._ended:
                return ""
            self._read_on()

    def take(self, expected: str) -> bool:
        """Take the next character if it is one of those expected, and say whether it was.

        Raises:
            UnusableSource: the document ends there.
        """
        character = self.peek()
        if not character:
            raise self._cut_off()
        if character not in expected:
            return False
        self._at += 1
        return True

    def value(self) -> Any:  # noqa: ANN401  whatever the document has there
        """Take the next value: text for texts and numbers, a tuple of members for an object.

        Raises:
            UnusableSource: the document is cut off within it, or it is not JSON.
        """
        if not self.peek():
            raise self._cut_off()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._ended or len(self._text) - self._at > LONGEST_LINE:
                    raise self._trouble(error) from None
            else:
                # A number could go on in the next piece.
                if end < len(self._text) or self._ended:
                    self.line += self._text.count("\n", self._at, end)
                    escaped = self._text.find(_ESCAPE, self._at, end) >= 0
                    self._at = end
                    return well_formed(value) if escaped else value
            self._read_on()

    def broken(self, what: str) -> UnusableSource:
        """Return the refusal of a document that is not as JSON should be at the next character."""
        return UnusableSource(Unusable.BROKEN_JSON, f"line {self.line}: {what}", WRITE_PROPERLY)

    def _read_on(self) -> None:
        piece = self._file.read(_PIECE)
        self._ended = not piece
        try:
            more = self._decode.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            raise self._undecodable(error, piece) from None
        self._text = self._text[self._at :] + more
        self._at = 0

    def _undecodable(self, error: UnicodeDecodeError, piece: bytes) -> UnusableSource:
        if not piece:
            return self._cut_off()
        line = self.line + self._text.count("\n", self._at) + error.object[: error.start].count(b"\n")
        return UnusableSource(Unusable.NOT_TEXT, f"line {line} is not UTF-8", "Have the export written in UTF-8.")

    def _cut_off(self) -> UnusableSource:
        line = self.line + self._text.count("\n", self._at)
        return UnusableSource(Unusable.TRUNCATED, f"the JSON document ends in line {line}, before its end", SEND_AGAIN)

    def _trouble(self, error: Exception) -> UnusableSource:
        """Tell a document that is cut off, so that nothing closes what is open, from one that is wrong."""
        rest = self._text[self._at :].rstrip(_BLANKS)
        if self._ended and not rest.endswith(("}", "]")):
            return self._cut_off()
        place = error.pos if isinstance(error, json.JSONDecodeError) else self._at
        line = self.line + self._text.count("\n", self._at, place)
        return UnusableSource(Unusable.BROKEN_JSON, f"line {line} is not JSON", WRITE_PROPERLY)
