"""What the rules say of a cell: an identifier that can be sent, or the reason why it cannot."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a row is rejected; the reject report's words."""

    WRONG_COLUMN_COUNT = "wrong_column_count"
    UNCLEAR_CONTROL = "unclear_control"
    NO_SEGMENT = "no_segment"
    SEGMENT_TOO_LONG = "segment_too_long"
    SEGMENT_CHARACTERS = "segment_characters"
    SEGMENT_IS_IDENTIFIER = "segment_is_identifier"
    WRONG_IDENTIFIER_KIND = "wrong_identifier_kind"
    SCIENTIFIC_NOTATION = "scientific_notation"
    DECIMAL_SUFFIX = "decimal_suffix"
    EXTENSION = "extension"
    LETTERS = "letters"
    DOUBLED_COUNTRY_CODE = "doubled_country_code"
    NOT_NANP = "not_nanp"
    WRONG_LENGTH = "wrong_length"
    BAD_CHARACTERS = "bad_characters"
    INVALID_NUMBER = "invalid_number"
    INTERNATIONALIZED = "internationalized"
    INVALID_ADDRESS = "invalid_address"


REFUSED_NAMES: Final = frozenset({Reason.SEGMENT_TOO_LONG, Reason.SEGMENT_CHARACTERS, Reason.SEGMENT_IS_IDENTIFIER})
"""The reasons that are about a segment's name itself (rule S4)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A cell that cannot be sent."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Identifier:
    """An accepted identifier: how it is written, by what it is told from others, and whether it is doubtful.

    `suspect` marks a phone number that does not exist; it is sent all the same (rule P3).
    """

    value: str
    key: str | int
    suspect: bool = False
