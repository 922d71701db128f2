"""One row: when a last one is only the beginning of a row, and what a judge remembers (rule S8)."""

import pytest

from relay.rewrite.dialect import Dialect
from relay.rewrite.layout import Column, Layout
from relay.rewrite.row import RowJudge
from relay.rewrite.rules import Rules

NAMES = ("phone", "segment_name", "is_control", "given_name")


def judge_of(
    last: str, identifier: str = "phone", segments: tuple[str, ...] = (), last_cells: tuple[str, ...] = ()
) -> RowJudge:
    """A judge of rows of three cells, `last` at their end, that has seen these segments; before stood `last_cells`."""
    order = [*[name for name in NAMES if name != last][:2], last]
    column = {name: Column(order.index(name), name, "name") for name in order}
    identifier_column = column.get("phone", Column(0, order[0], "content"))
    layout = Layout(
        dialect=Dialect(","),
        has_header=True,
        names=tuple(order),
        identifier=identifier_column,
        segment=(column["segment_name"],) if "segment_name" in column else (),
        control=column.get("is_control"),
    )
    judge = RowJudge(Rules.model_validate({"identifier": identifier}), layout, None, lambda: last_cells)
    for segment in segments:
        judge.judge([segment if name == "segment_name" else "" for name in order])
    return judge


@pytest.mark.parametrize(
    ("last", "cell", "cut_off"),
    [
        pytest.param("phone", "2125550100", False, id="number"),
        pytest.param("phone", "12125550100", False, id="number with country code"),
        pytest.param("phone", "212555010", True, id="nine digits"),
        pytest.param("phone", "1212555010", True, id="ten digits from a country code on"),
        pytest.param("phone", "011 1 212 555", True, id="ten digits from a prefix on"),
        pytest.param("phone", "+1 (212) 555-01", True, id="number with a plus, short"),
        pytest.param("phone", "2125550100;2125550199", False, id="two numbers"),
        pytest.param("phone", "n/a", False, id="word"),
        pytest.param("phone", " ", True, id="empty identifier"),
        pytest.param("segment_name", "VIP Customers", False, id="segment"),
        pytest.param("segment_name", "VIP", True, id="beginning of a segment"),
        pytest.param("segment_name", "Shoes", True, id="beginning of a refused name"),
        pytest.param("segment_name", "", True, id="no segment"),
        pytest.param("segment_name", "Lapsed", False, id="another segment"),
        pytest.param("is_control", "false", False, id="flag"),
        pytest.param("is_control", " ", True, id="no flag"),
        pytest.param("is_control", "f", True, id="beginning of a flag"),
        pytest.param("given_name", "Jane", False, id="a text that stood there before"),
        pytest.param("given_name", "Joe", False, id="a text with which no other begins"),
        pytest.param("given_name", "Jan", True, id="beginning of a text"),
        pytest.param("given_name", "", True, id="no text where all others have one"),
        pytest.param("given_name", "12", False, id="a number, with which another begins"),
    ],
)
def test_the_last_cell_tells_whether_a_row_is_whole(last: str, cell: str, *, cut_off: bool) -> None:
    """A row without line end is cut off if its last cell may be less than was meant and would mean another thing."""
    before = ("false", "Jane", "129")
    judge = judge_of(last, segments=("VIP Customers", "Shoes & Bags"), last_cells=before)
    assert judge.looks_cut_off(["", "", cell]) is cut_off


def test_nothing_is_the_beginning_of_anything_where_some_cells_are_empty() -> None:
    """An empty last cell tells nothing if others are empty, or if there are no others."""
    for before in (("", "Jane"), ()):
        assert not judge_of("given_name", last_cells=before).looks_cut_off(["2125550100", "VIP", ""])


@pytest.mark.parametrize(
    ("cell", "cut_off"),
    [
        ("jane@example.com", False),
        ("jane@exampl", True),
        ("jane", True),
        ("", True),
        ("jane@Example.co", True),
        ("jane@example.net", False),
    ],
)
def test_half_an_address_is_cut_off(cell: str, *, cut_off: bool) -> None:
    """A last address that is none, or whose domain is but the beginning of those before, may have lost its end."""
    judge = judge_of("phone", "email", last_cells=("joe@example.com", "joe@example.net", "n/a", ""))
    assert judge.looks_cut_off(["", "", cell]) is cut_off


def test_missing_cells_are_cut_off_and_surplus_ones_are_not() -> None:
    """A last row with fewer cells than the others lacks its end; one with more is only a wrong row."""
    judge = judge_of("given_name")
    assert judge.looks_cut_off(["2125550100", "VIP"])
    assert not judge.looks_cut_off(["2125550100", "VIP", "", ""])


def test_a_judge_remembers_only_so_many_refused_names() -> None:
    """A wrong column taken for the segment's cannot fill the memory with its cells."""
    judge = judge_of("segment_name", segments=tuple(f"name {number}!" for number in range(1100)))
    assert len(judge.refused_names) == 1000
