"""Cutting a list into files (rule D13)."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.spool import cut


@given(
    rows=st.lists(st.binary(max_size=40).map(lambda it: it.replace(b"\n", b"-")), min_size=1), most=st.integers(1, 30)
)
def test_cuts_are_whole_rows_one_behind_the_other(
    rows: list[bytes], most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Together they are the list; each but the last has as many rows as may be, and its own hash."""
    content = b"".join(row + b"\n" for row in rows)
    path = tmp_path_factory.mktemp("cut") / "list.csv"
    path.write_bytes(content)
    cuts = cut(path, most)
    pieces = [content[it.offset : it.offset + it.size] for it in cuts]
    assert b"".join(pieces) == content
    assert [it.rows for it in cuts[:-1]] == [most] * (len(cuts) - 1)
    assert [piece.count(b"\n") for piece in pieces] == [it.rows for it in cuts]
    assert [hashlib.sha256(piece).hexdigest() for piece in pieces] == [it.sha256 for it in cuts]


@pytest.mark.parametrize("most", [1_000, 49_999, 50_000, 99_999, 100_000, 100_001])
def test_a_list_is_cut_right_wherever_the_blocks_end_that_it_is_read_in(most: int, tmp_path: Path) -> None:
    """Files of more than a block, and many files in one block, come out the same."""
    content = b"".join(b"21255501%02d,VIP\n" % (number % 100) for number in range(100_000))
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    cuts = cut(path, most)
    assert sum(it.size for it in cuts) == len(content)
    assert [it.rows for it in cuts] == [most] * (100_000 // most) + [100_000 % most] * bool(100_000 % most)
