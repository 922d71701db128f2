"""Segment names: where a row's comes from, and what it must be (rules S3 and S4)."""

import re
from collections.abc import Callable, Sequence
from string import Formatter
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


def name_in_path(path: str, rules: SegmentRules) -> str | None:
    """Return the name that the route's pattern finds in a file's path, None where it finds none."""
    pattern = rules.pattern or ""
    found = re.search(pattern, path if "/" in pattern else path.rpartition("/")[2])
    return None if found is None else _spaced(found["segment"] or "", rules)


def composer(rules: SegmentRules) -> Callable[[Sequence[str]], str]:
    """Return what makes a segment's name of a row's cells: of the segment column's, or of the template's columns."""
    if rules.template is None:
        return lambda texts: texts[0].strip()
    parts = list(Formatter().parse(rules.template))
    columns = rules.template_columns

    def compose(texts: Sequence[str]) -> str:
        cells = dict(zip(columns, map(str.strip, texts), strict=True))
        if not all(cells.values()):
            return ""
        return _spaced("".join(text + cells.get((name or "").strip(), "") for text, name, _, _ in parts), rules)

    return compose


def _spaced(name: str, rules: SegmentRules) -> str:
    return "".join(name.split()) if rules.spaces == "remove" else name
