"""How a file ends, and what stood at the ends of its lines (rule S8)."""

from pathlib import Path

import pytest

from relay.rewrite.dialect import Dialect
from relay.rewrite.endings import Ending, ending_of, last_cells
from relay.rewrite.layout import Column, Layout


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        pytest.param(b"a,b\nc,d\n", Ending.LINE_END, id="LF"),
        pytest.param(b"a,b\r\nc,d\r\n", Ending.LINE_END, id="CRLF"),
        pytest.param(b"a,b\rc,d\r", Ending.LINE_END, id="CR alone, as everywhere"),
        pytest.param(b"a,b\nc,d\r", Ending.LINE_END, id="CR below LF"),
        pytest.param(b"a,b\r\nc,d\re,f\r", Ending.LINE_END, id="CR below CR"),
        pytest.param(b"a,b\r\nc,d\r", Ending.HALF_A_LINE_END, id="CR below CRLF"),
        pytest.param(b"a,b\r\n" + b"c" * 70_000 + b"\r\nd\r", Ending.HALF_A_LINE_END, id="below much text"),
        pytest.param(b"a,b\nc,d", Ending.NOTHING, id="nothing"),
    ],
)
def test_the_end_of_the_last_line_is_told(tmp_path: Path, content: bytes, ending: Ending) -> None:
    """A carriage return alone is half a line end only where the line before ends in a whole one."""
    (tmp_path / "x").write_bytes(content)
    assert ending_of(tmp_path / "x") is ending


@pytest.mark.parametrize("header", [False, True])
def test_the_last_cells_are_those_of_lines_with_an_end(tmp_path: Path, *, header: bool) -> None:
    """Quotes and blanks around them are taken off; neither the header nor the last line without end counts."""
    (tmp_path / "x").write_bytes(b'a;b\r\n1;"c"\n2; d\n\xff;\n3;e')
    column = Column(0, "a", "name")
    layout = Layout(Dialect(";"), has_header=header, names=("a", "b"), identifier=column, segment=(), control=None)
    assert list(last_cells(tmp_path / "x", layout)) == [*([] if header else ["b"]), "c", "d", ""]
