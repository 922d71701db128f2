"""Rows within a row: when the lines of a row of several lines are rows by themselves (rule S13)."""

import pytest

from relay.rewrite.dialect import Dialect
from relay.rewrite.layout import Column, Layout
from relay.rewrite.strays import holds_rows, refuse_swallowed_rows
from relay.rewrite.unusable import Unusable, UnusableSource

PHONE, NAME, SEGMENT = (Column(place, name, "name") for place, name in enumerate(("phone", "name", "segment")))


COMMA = Dialect(",")


def layout(dialect: Dialect = COMMA) -> Layout:
    """Three columns: phone, name and segment."""
    names = ("phone", "name", "segment")
    return Layout(dialect, has_header=True, names=names, identifier=PHONE, segment=(SEGMENT,), control=None)


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(["2125550100", "Jane,VIP\n2125550101,Joe", "VIP"], id="another number"),
        pytest.param(["2125550100", "Jane,VIP\r2125550100,Joe", "Gold"], id="the same number twice"),
        pytest.param(["", "Jane,VIP\r\n2125550101,Joe", "Gold"], id="a number, though the row has none"),
        pytest.param(["2125550100", "Jane,VIP\n,Joe", "VIP"], id="the same segment twice"),
        pytest.param(["2125550100", "Jane", "VIP\n2125550101", "Joe", "VIP"], id="another width"),
        pytest.param(["2125550100", "Jane\n2125550101", "Joe", "VIP"], id="another width, and one line of a row's"),
        pytest.param(["", "Jane", "VIP\n", "Joe", "VIP"], id="another width, and no number"),
        pytest.param(["2125550100", "J\nx\n2125550101,Joe,VIP\ny", "VIP"], id="one line among others"),
    ],
)
def test_lines_that_are_rows_show(cells: list[str]) -> None:
    """As wide as a row, and with an identifier or a segment in its place, a line is a row."""
    assert holds_rows(cells, layout())


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(["2125550100", "12 Main St, Apt 4\nReno, NV", "VIP"], id="address as wide as a row"),
        pytest.param(["2125550100", "12 Main St,\n, NV", "VIP"], id="empty parts"),
        pytest.param(["2125550100", "12 Main St\nPO Box 2125550101", "VIP"], id="a number out of place"),
        pytest.param(["2125550100", "call\n2125550101", "VIP"], id="a number on a line of another width"),
        pytest.param(["2125550100", "VIP\nVIP", "VIP"], id="the segment out of place"),
        pytest.param(["2125550100", "a,\nb,\nc", ""], id="no segment at all"),
        pytest.param(["2125550100", "a\nb", "VIP", "x"], id="another width, and the rest as wide as a row"),
        pytest.param(["2125550100", "a, b\nc", "VIP", "x, y"], id="another width, and the beginning as wide as a row"),
    ],
)
def test_cells_of_several_lines_may_be_texts(cells: list[str]) -> None:
    """Nothing but chance makes the lines of an address as wide as a row, and that is not enough."""
    assert not holds_rows(cells, layout())


@pytest.mark.parametrize(
    ("dialect", "said", "settings"),
    [
        (Dialect(","), "by quotes, but", {"source.quotes"}),
        (Dialect(",", "\\"), "by quotes or an escape character", {"source.quotes", "source.escape"}),
        (Dialect(",", "\\", quotes=False), "to line 8 by an escape character", {"source.escape"}),
    ],
)
def test_the_refusal_says_what_it_may_be_and_which_setting_helps(
    dialect: Dialect, said: str, settings: set[str]
) -> None:
    """The lines, the character and the settings that concern it are named, and nothing of a cell."""
    with pytest.raises(UnusableSource, match=said) as raised:
        refuse_swallowed_rows(7, ["2125550100", "Jane,VIP\n2125550101,Joe", "VIP"], layout(dialect))
    assert raised.value.reason == Unusable.SWALLOWED_ROWS
    assert {name for name in ("source.quotes", "source.escape") if name in (raised.value.hint or "")} == settings
    assert "Jane" not in str(raised.value)


def test_a_route_may_vouch_for_its_rows() -> None:
    """With `quotes = "standard"` a row of several lines is what its quotes say."""
    refuse_swallowed_rows(
        7, ["2125550100", "Jane,VIP\n2125550101,Joe", "VIP"], layout(Dialect(",", quotes=True, trusted=True))
    )
