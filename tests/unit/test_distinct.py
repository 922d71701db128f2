"""The different contents of a column that has few."""

from relay.rewrite.bulk.cells import Cells
from relay.rewrite.bulk.distinct import UNKNOWN, Distinct


def test_contents_are_numbered_as_they_appear() -> None:
    """Equal contents have one number, over several blocks, whatever their length."""
    distinct = Distinct()
    assert distinct.numbers(Cells.of(["VIP", "", "VIP", "Most Loyal Customers"])).tolist() == [0, 1, 0, 2]
    assert distinct.numbers(Cells.of(["Most Loyal Customers", "VIP\0", "V", "VIP"])).tolist() == [2, 3, 4, 0]
    assert distinct.contents == [b"VIP", b"", b"Most Loyal Customers", b"VIP\0", b"V"]


def test_what_is_too_long_or_one_too_many_has_no_number() -> None:
    """A content of more than 64 bytes, or behind the 4,096th, is left to others; the rest stays as it was."""
    distinct = Distinct()
    assert distinct.numbers(Cells.of(["x" * 64, "x" * 65, "é" * 32, "é" * 33])).tolist() == [0, UNKNOWN, 1, UNKNOWN]
    found = distinct.numbers(Cells.of([f"segment {number}" for number in range(5000)])).tolist()
    assert found == [*range(2, 4096), *[UNKNOWN] * 906]
    assert distinct.numbers(Cells.of(["segment 7", "segment 4999"])).tolist() == [9, UNKNOWN]


def test_a_column_may_begin_with_what_is_too_long() -> None:
    """Where no content was told apart yet, one that is too long has no number like any other such."""
    distinct = Distinct()
    assert distinct.numbers(Cells.of(["x" * 65])).tolist() == [UNKNOWN]
    assert distinct.numbers(Cells.of(["x" * 65, "VIP"])).tolist() == [UNKNOWN, 0]


def test_nothing_is_numbered_where_there_is_nothing() -> None:
    """A column without cells is no trouble."""
    assert Distinct().numbers(Cells.of([])).tolist() == []
