"""Why a source as a whole cannot be used. Its export is quarantined with these words."""

from enum import StrEnum

from relay.model import RelayError


class Unusable(StrEnum):
    """Why a source cannot be used; the quarantine's words."""

    EMPTY = "empty"
    HEADER_ONLY = "header_only"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    NOT_TEXT = "not_text"
    UNKNOWN_PACKING = "unknown_packing"
    ENCRYPTED_ARCHIVE = "encrypted_archive"
    NO_KEY = "no_key"
    WRONG_KEY = "wrong_key"
    UNUSABLE_KEY = "unusable_key"
    NOT_ENCRYPTED = "not_encrypted"
    UNPROTECTED = "unprotected"
    TOO_LARGE = "too_large"
    TOO_MANY_MEMBERS = "too_many_members"
    TOO_DEEP = "too_deep"
    INCOMPLETE = "incomplete"
    UNUSABLE_MEMBER = "unusable_member"
    OTHER_FORMAT = "other_format"
    BROKEN_QUOTES = "broken_quotes"
    SWALLOWED_ROWS = "swallowed_rows"
    BROKEN_JSON = "broken_json"
    NO_ROWS = "no_rows"
    TOO_MANY_COLUMNS = "too_many_columns"
    PARTS_DIFFER = "parts_differ"
    NO_HEADER = "no_header"
    UNKNOWN_HEADER = "unknown_header"
    NO_IDENTIFIER_COLUMN = "no_identifier_column"
    AMBIGUOUS_IDENTIFIER_COLUMN = "ambiguous_identifier_column"
    NO_SEGMENT_COLUMN = "no_segment_column"
    AMBIGUOUS_SEGMENT_COLUMN = "ambiguous_segment_column"
    AMBIGUOUS_CONTROL_COLUMN = "ambiguous_control_column"
    AMBIGUOUS_ROW_NUMBER_COLUMN = "ambiguous_row_number_column"
    NO_SEGMENT_IN_PATH = "no_segment_in_path"
    AMBIGUOUS_SEGMENT_IN_PATH = "ambiguous_segment_in_path"
    NO_USABLE_SEGMENT = "no_usable_segment"
    TOO_MANY_SEGMENTS = "too_many_segments"


class UnusableSource(RelayError):  # noqa: N818  it is the source's state, not the program's error
    """A source cannot be used at all.

    Args:
        reason: one of `Unusable`'s words.
        detail: what was found and what was expected, without any cell of a row.
        hint: which setting or act mends it.
    """

    def __init__(self, reason: str, detail: str, hint: str) -> None:
        super().__init__(f"{reason}: {detail}", hint=hint)
        self.reason = reason
        self.detail = detail

    def within(self, name: str) -> "UnusableSource":
        """Return the same, said of one source among several."""
        return UnusableSource(self.reason, f"{name}: {self.detail}", self.hint)
