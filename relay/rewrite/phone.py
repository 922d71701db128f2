"""Phone numbers: what a cell must be to be sent as ten digits (rules P1 to P6).

Nothing is stripped to its digits blindly. Every way in which a cell can turn into another person's number (a foreign
number, a float, an extension, two numbers in one cell) is looked for before its digits are counted.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

import phonenumbers

from relay.rewrite.rules import PhoneRules
from relay.rewrite.verdict import Identifier, Reason, Rejected

_FULL_WIDTH: Final = range(0xFF01, 0xFF5F)
_FULL_WIDTH_TO_ASCII: Final = 0x21 - 0xFF01
_MINUS_SIGN: Final = "\N{MINUS SIGN}"

_USUAL: Final = re.compile(r"[0-9+ ().\-/]*")
"""What a number is written with. Only where something else stands can there be letters or an extension."""

_MAY_BE_EXTENDED: Final = re.compile(r"[^0-9+ ().\-/](?s:.*)\d|#")
"""Where digits stand behind a mark that is not usual, or before the one that may follow them: all that the library
takes for an extension looks so, and asking it is slow."""

_PUNCTUATION: Final = str.maketrans("", "", " ().-/")

_SCIENTIFIC: Final = re.compile(r"[+-]?\d+(?:[.,]\d*)?[Ee][+-]?\d+")
_DECIMAL: Final = re.compile(r"[+-]?\d{7,}[.,](?:\d\d?|0+)")
"""A number that went through a spreadsheet or a float. Dots between groups, as in 212.555.0123, look different."""

_DOUBLED: Final = re.compile(r"(?:\+|00|011)?1\+?1\d{10}")
_FOREIGN: Final = re.compile(r"(?!\d{10}$)(?:\+[02-9]|(?:00|011)[2-9])")
"""Another country's prefix: only +1's code begins with 1, so the first digit settles it. Ten digits have no prefix."""

_ACCEPTED: Final = re.compile(r"(?:\+?1|0111|001)?(\d{10})")
_POSSIBLE: Final = re.compile(r"(?!.11)[2-9][0-8]\d(?!.11)[2-9]\d{6}")
"""An area code and exchange as the numbering plan has them (rule P2)."""

_LONGEST_EXTENSION: Final = 6
"""Digits; what is longer is a second number in the same cell, and nobody can tell which of the two was meant."""

_ANY_NUMBER: Final = "2015550123"


def judge_phone(cell: str, rules: PhoneRules) -> Identifier | Rejected:
    """Return the number that a cell holds as ten digits, or why it cannot be sent."""
    text = fold(cell)
    national = _national_number(text)
    if national == Rejected(Reason.EXTENSION) and rules.extension == "drop":
        national = _national_number(_without_extension(text))
    if isinstance(national, Rejected):
        return national
    is_real = exists(national)
    confirmed = {"format": True, "nanp": is_possible(national), "valid": is_real}
    if not confirmed[rules.validation]:
        return Rejected(Reason.INVALID_NUMBER)
    return Identifier(national, key=int(national), suspect=not is_real)


def is_phone(cell: str) -> bool:
    """Say whether a cell is a number in one of the forms that are accepted by default (rule P1)."""
    return isinstance(_national_number(fold(cell)), str)


def fold(cell: str) -> str:
    """Return a cell in ASCII as far as rule P1 reads it so, without surrounding blanks and invisible marks.

    Full-width characters and all Unicode digits become their ASCII counterparts, dashes `-`, blanks a plain blank.
    What rule P1 does not know is left in place, to be refused.
    """
    if not cell.isascii():
        cell = cell.translate(_FOLDED)
    return cell.strip().replace("\t", " ")


class _Folded(dict[int, str]):
    """What each character is folded to, by its code; looked up once and remembered."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _fold_character(chr(code))
        return folded


_FOLDED: Final = _Folded()


def _fold_character(character: str) -> str:
    if ord(character) in _FULL_WIDTH:
        return chr(ord(character) + _FULL_WIDTH_TO_ASCII)
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    category = unicodedata.category(character)
    if category == "Pd" or character == _MINUS_SIGN:
        return "-"
    if category == "Zs":
        return " "
    return "" if category == "Cf" else character


def _national_number(text: str) -> str | Rejected:
    """Return the ten digits of a folded text, or the first reason of rule P4 that speaks against it."""
    for reason, speaks_against in _REASONS:
        if speaks_against(text):
            return Rejected(reason)
    compact = text.translate(_PUNCTUATION)
    if accepted := _ACCEPTED.fullmatch(compact):
        return accepted[1]
    without_others = re.sub(r"(?!^\+)\D", "", compact)
    right_length = _ACCEPTED.fullmatch(without_others)
    return Rejected(Reason.BAD_CHARACTERS if right_length else Reason.WRONG_LENGTH)


def may_be_extended(text: str) -> bool:
    """Say whether a folded text has anything in it that could be an extension."""
    return _MAY_BE_EXTENDED.search(text) is not None


def _find_extension(text: str) -> str | None:
    """Return the digits of the extension that `phonenumbers` sees, None where it sees none (rule P5)."""
    if not may_be_extended(text):
        return None
    try:
        extension = phonenumbers.parse(text, "US").extension
    except phonenumbers.NumberParseException:
        return None
    return extension if extension and len(extension) <= _LONGEST_EXTENSION else None


def _without_extension(text: str) -> str:
    """Return a folded text up to its extension; whole, where it has none or nobody can say for sure where it begins.

    The library says which digits the extension has, not where it begins: so the text is cut behind the last digit that
    is not the extension's, and what is cut off must be an extension, and nothing more, behind any other number.
    """
    extension = _find_extension(text)
    if extension is None:
        return text
    *_, last = [0, *(digit.end() for digit in re.finditer(r"\d", text))][: -len(extension)]
    try:
        proof = phonenumbers.parse(_ANY_NUMBER + text[last:], "US")
    except phonenumbers.NumberParseException:
        return text
    nothing_more = str(proof.national_number) == _ANY_NUMBER and proof.extension == extension
    return text[:last] if nothing_more else text


def is_possible(national: str) -> bool:
    """Say whether ten digits have an area code and an exchange as the numbering plan has them (rule P2)."""
    return _POSSIBLE.fullmatch(national) is not None


def exists(national: str) -> bool:
    """Ask the library about +1 and the ten digits (rule P3). It knows no number that begins with 0 or 1."""
    return national >= "2" and phonenumbers.is_valid_number(
        phonenumbers.PhoneNumber(country_code=1, national_number=int(national))
    )


_REASONS: Final[tuple[tuple[Reason, Callable[[str], object]], ...]] = (
    (Reason.WRONG_IDENTIFIER_KIND, lambda text: "@" in text),
    (Reason.SCIENTIFIC_NOTATION, lambda text: _SCIENTIFIC.fullmatch(text.replace(" ", ""))),
    (Reason.DECIMAL_SUFFIX, lambda text: _DECIMAL.fullmatch(text.replace(" ", ""))),
    (Reason.EXTENSION, _find_extension),
    (Reason.LETTERS, lambda text: not _USUAL.fullmatch(text) and any(map(str.isalpha, text))),
    (Reason.DOUBLED_COUNTRY_CODE, lambda text: _DOUBLED.fullmatch(text.translate(_PUNCTUATION))),
    (Reason.NOT_NANP, lambda text: _FOREIGN.match(text.translate(_PUNCTUATION))),
)
"""What speaks against a folded text whatever its digits are, in the order of rule P4."""
