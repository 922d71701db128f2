"""Which of its names tells the segment of a file (rule S3)."""

from pathlib import Path

import pytest

from relay.rewrite.filenames import segment_in_names
from relay.rewrite.files import SourceFile
from relay.rewrite.rules import SegmentRules
from relay.rewrite.unusable import Unusable, UnusableSource

RULES = SegmentRules(pattern=r"(?P<segment>.+)_\d{4}")


def segment(landed: str, *within: str, is_alone: bool = False, rules: SegmentRules = RULES) -> str:
    """The segment of a file with these names, the outermost first."""
    return segment_in_names(SourceFile(Path("x"), f"/uploads/{landed}", within=within), rules, is_alone=is_alone)


@pytest.mark.parametrize(
    ("names", "is_alone", "found"),
    [
        pytest.param(("VIP_2026.csv",), True, "VIP", id="landed file"),
        pytest.param(("x.zip", "VIP_2026.csv"), False, "VIP", id="member of several"),
        pytest.param(("x.zip", "VIP_2026.csv"), True, "VIP", id="only member"),
        pytest.param(("VIP_2026.zip", "1.csv"), False, "VIP", id="archive of numbered members"),
        pytest.param(("VIP_2026.zip", "a/VIP_2027.csv"), False, "VIP", id="both, alike"),
        pytest.param(("All_2026.zip", "VIP_2026.csv"), True, "All", id="landed file before its only member"),
        pytest.param(("x.tar", "VIP_2026.zip", "1.csv"), False, "VIP", id="archive in an archive"),
    ],
)
def test_the_name_that_tells_it_is_found(names: tuple[str, ...], found: str, *, is_alone: bool) -> None:
    """The pattern is looked for in every name; that of what landed comes first where nothing else was in it."""
    assert segment(*names, is_alone=is_alone) == found


def test_names_that_differ_are_refused() -> None:
    """Of an archive and a member that name different segments nobody knows which is meant."""
    with pytest.raises(UnusableSource, match="All in the archive's name and VIP in its member's") as raised:
        segment("All_2026.zip", "VIP_2026.csv")
    assert raised.value.reason == Unusable.AMBIGUOUS_SEGMENT_IN_PATH


def test_a_pattern_can_choose_between_the_names() -> None:
    """What the refusal advises works: the extension tells an archive's name from its members'."""
    for extension, found in (("zip", "All"), ("csv", "VIP")):
        rules = SegmentRules(pattern=rf"(?P<segment>.+)_\d{{4}}\.{extension}$")
        assert segment("All_2026.zip", "VIP_2026.csv", rules=rules) == found


@pytest.mark.parametrize(("within", "said"), [((), "the file's name$"), (("1.csv",), "nor in that of the archive's")])
def test_the_refusal_says_which_names_were_searched(within: tuple[str, ...], said: str) -> None:
    """Where the pattern is in no name, the message says where it was looked for."""
    with pytest.raises(UnusableSource, match=said) as raised:
        segment("x.zip", *within)
    assert raised.value.reason == Unusable.NO_SEGMENT_IN_PATH
