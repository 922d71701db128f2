"""Segment names: which are taken, as what, and why the rest is not (rule S4)."""

import pytest

from relay.rewrite.rules import SegmentRules
from relay.rewrite.segment import judge_segment
from relay.rewrite.verdict import Reason, Rejected

BY_DEFAULT = SegmentRules()

REFUSED = {
    "nothing": ("", Reason.NO_SEGMENT),
    "blanks": (" \t\u00a0", Reason.NO_SEGMENT),
    "a plus": ("VIP+ Customers", Reason.SEGMENT_CHARACTERS),
    "an ampersand": ("Shoes & Bags", Reason.SEGMENT_CHARACTERS),
    "a quote": ('"VIP"', Reason.SEGMENT_CHARACTERS),
    "a comma": ("VIP, gold", Reason.SEGMENT_CHARACTERS),
    "an umlaut": ("Schöne Schuhe", Reason.SEGMENT_CHARACTERS),
    "a full-width letter": ("ＶIP", Reason.SEGMENT_CHARACTERS),
    "a raised digit": ("VIP²", Reason.SEGMENT_CHARACTERS),
    "a zero-width space": ("VIP\u200b", Reason.SEGMENT_CHARACTERS),
    "a no-break space": ("VIP\u00a0gold", Reason.SEGMENT_CHARACTERS),
    "a line end inside": ("VIP\ngold", Reason.SEGMENT_CHARACTERS),
    "a dash at the end": ("VIP-", Reason.SEGMENT_CHARACTERS),
    "an underscore at the beginning": ("_VIP", Reason.SEGMENT_CHARACTERS),
    "65 characters": ("x" * 65, Reason.SEGMENT_TOO_LONG),
    "a number": ("2125550123", Reason.SEGMENT_IS_IDENTIFIER),
    "a number with dashes": ("1-212-555-0123", Reason.SEGMENT_IS_IDENTIFIER),
    "an address": ("jane@example.com", Reason.SEGMENT_IS_IDENTIFIER),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_names_are_refused(name: str) -> None:
    """A name that Attentive does not take is refused with its reason, never cleaned up."""
    cell, reason = REFUSED[name]
    assert judge_segment(cell, BY_DEFAULT) == Rejected(reason)


@pytest.mark.parametrize("name", ["Most Loyal Customers", "segment 1", "a", "7", "VIP_2026-11", "20261123", "x" * 64])
def test_plain_names_are_taken_as_they_are(name: str) -> None:
    """ASCII letters, digits, blanks, `_` and `-` may stand in a name of up to 64 characters."""
    assert judge_segment(name, BY_DEFAULT) == name


def test_surrounding_blanks_are_trimmed() -> None:
    """Blanks around a name do not make it another segment; those inside stay."""
    assert judge_segment(" \u00a0VIP  gold\t", BY_DEFAULT) == "VIP  gold"


def test_renaming_comes_before_the_rules() -> None:
    """A renamed name may be one that would be refused; the comparison is exact but for surrounding blanks."""
    rules = SegmentRules(rename={"VIP+ Customers": "VIP Plus", "2125550123": "Strays", "": "Nameless"})
    assert judge_segment(" VIP+ Customers ", rules) == "VIP Plus"
    assert judge_segment("2125550123", rules) == "Strays"
    assert judge_segment("  ", rules) == "Nameless"
    assert judge_segment("vip+ customers", rules) == Rejected(Reason.SEGMENT_CHARACTERS)
