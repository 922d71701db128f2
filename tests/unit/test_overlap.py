"""Today's people against those of the list last sent: counted exactly, however a list identifies them."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts.people import people, person

from relay.model import Overlap
from relay.rewrite import overlap
from relay.rewrite.child import RewriteCrashed, compare_in_child
from relay.rewrite.overlap import compare


def a_list(directory: Path, name: str, identifiers: list[str], segment: str = "VIP") -> Path:
    """A rewritten list of these people."""
    path = directory / name
    path.write_text("".join(f"{it},{segment}\n" for it in identifiers), encoding="utf-8")
    return path


def test_phone_numbers_are_counted_whatever_their_order(tmp_path: Path) -> None:
    """Those of both lists, those that only the earlier has, and those that are new."""
    before = a_list(tmp_path, "before", [it.phone for it in people(50)])
    today = a_list(tmp_path, "today", [it.phone for it in reversed(list(people(60, first=20)))])
    assert compare(today, before) == Overlap(kept=30, lost=20, gained=30)


def test_addresses_are_counted_without_case(tmp_path: Path) -> None:
    """`case = "preserve"` may have changed in between (rule E2)."""
    before = a_list(tmp_path, "before", [it.email.upper() for it in people(50)])
    today = a_list(tmp_path, "today", [it.email for it in people(60, first=20)])
    assert compare(today, before) == Overlap(kept=30, lost=20, gained=30)


def test_lists_of_different_kinds_have_nobody_in_common(tmp_path: Path) -> None:
    """Addresses today, numbers yesterday: the account's identifier was changed, or a column swapped."""
    before = a_list(tmp_path, "before", [it.phone for it in people(50)])
    today = a_list(tmp_path, "today", [it.email for it in people(40)])
    assert compare(today, before) == Overlap(kept=0, lost=50, gained=40)


def test_addresses_of_one_length_are_not_taken_for_numbers(tmp_path: Path) -> None:
    """Lines of one length alone prove nothing."""
    before = a_list(tmp_path, "before", ["ada@example.com", "ben@example.com"])
    today = a_list(tmp_path, "today", ["ben@example.com", "eve@example.com"])
    assert compare(today, before) == Overlap(kept=1, lost=1, gained=1)


def test_an_empty_list_has_lost_everybody(tmp_path: Path) -> None:
    """A list without rows has no file."""
    before = a_list(tmp_path, "before", [it.phone for it in people(5)])
    assert compare(None, before) == Overlap(kept=0, lost=5, gained=0)


def test_a_list_that_is_gone_cannot_be_compared_with(tmp_path: Path) -> None:
    """Retention may have taken it."""
    assert compare(a_list(tmp_path, "today", [person(1).phone]), tmp_path / "gone") is None


@given(st.sets(st.integers(0, 300)), st.sets(st.integers(0, 300)), st.sampled_from(("phone", "email")))
def test_the_counts_are_those_of_the_sets(
    tmp_path_factory: pytest.TempPathFactory, today: set[int], before: set[int], kind: str
) -> None:
    """Whoever is in them, also around the ends of a block."""
    directory = tmp_path_factory.mktemp("lists")
    now, then = ([getattr(it, kind) for it in map(person, sorted(some))] for some in (today, before))
    found = compare(a_list(directory, "today", now), a_list(directory, "before", then))
    assert found == Overlap(kept=len(today & before), lost=len(before - today), gained=len(today - before))


def test_lists_longer_than_a_block_are_compared_whole(tmp_path: Path) -> None:
    """Half a million rows are two blocks; half of the people are others."""
    rows = overlap._BLOCK_ROWS * 2  # noqa: SLF001  the bound that this is about
    before, today = tmp_path / "before", tmp_path / "today"
    before.write_bytes(b"".join(b"%010d,VIP\n" % (2_000_000_000 + it) for it in range(rows)))
    today.write_bytes(b"".join(b"%010d,VIP\n" % (2_000_000_000 + it) for it in range(rows // 2, rows // 2 + rows)))
    assert compare(today, before) == Overlap(kept=rows // 2, lost=rows // 2, gained=rows // 2)


def test_a_child_compares_several_pairs(tmp_path: Path) -> None:
    """The daemon's loop is not stalled: the work is another process's."""
    one, other = (a_list(tmp_path, name, [person(number).phone]) for number, name in enumerate(("one", "other")))
    found = asyncio.run(compare_in_child([(one, one), (one, other), (None, one), (one, tmp_path / "gone")]))
    assert found == [Overlap(1, 0, 0), Overlap(0, 1, 1), Overlap(0, 1, 0), None]


def test_a_child_that_fails_says_where_and_not_what(tmp_path: Path) -> None:
    """A directory in a list's place is no list."""
    with pytest.raises(RewriteCrashed, match="IsADirectoryError EISDIR in overlap"):
        asyncio.run(compare_in_child([(tmp_path, tmp_path)]))


@pytest.mark.parametrize(
    ("found", "share"),
    [(Overlap(10, 90, 0), 1.0), (Overlap(10, 0, 990), 1.0), (Overlap(10, 40, 90), 0.2), (Overlap(0, 0, 5), 1.0)],
)
def test_the_share_counts_on_the_shorter_list(found: Overlap, share: float) -> None:
    """A list that only grew, or only shrank, has all in common: other guards judge its size."""
    assert found.share == share
