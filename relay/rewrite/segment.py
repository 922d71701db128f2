"""Segment names: what a cell must be to name the segment that its row belongs to (rules S3 and S4)."""

from typing import Final

from relay.rewrite.rules import SEGMENT_NAME, SegmentRules, is_like_identifier
from relay.rewrite.verdict import Reason, Rejected

LONGEST_NAME: Final = 64


def judge_segment(cell: str, rules: SegmentRules) -> str | Rejected:
    """Return the name of the segment that a cell means, or why it means none.

    A name is never cleaned up: that could replace another segment. Only surrounding blanks are trimmed.
    """
    text = cell.strip()
    name = rules.rename.get(text, text)
    if not name:
        return Rejected(Reason.NO_SEGMENT)
    if len(name) > LONGEST_NAME:
        return Rejected(Reason.SEGMENT_TOO_LONG)
    if "@" in name or is_like_identifier(name):
        # The columns are not what they were taken for. It would become a name in logs and file lists, too.
        return Rejected(Reason.SEGMENT_IS_IDENTIFIER)
    return name if SEGMENT_NAME.fullmatch(name) else Rejected(Reason.SEGMENT_CHARACTERS)
