"""Blocks: where the rows and cells of a text are, found for all at once (rules S6, S9 and S10)."""

from pathlib import Path

import pytest

from relay.rewrite.bulk.blocks import Block, Rows, find_cells, read_blocks
from relay.rewrite.dialect import Dialect
from relay.rewrite.layout import Column, Layout
from relay.rewrite.text import Place

COMMA = Dialect(",")


def layout(*, header: bool = False, dialect: Dialect = COMMA) -> Layout:
    """A layout of two columns."""
    return Layout(dialect, header, ("phone", "segment"), Column(0, "phone", "name"), (), None)


def block_of(content: bytes, dialect: Dialect = COMMA) -> Block | None:
    """What is found in a content of rows of two cells that begins in line 10."""
    return find_cells(content, dialect, 2, Place(100, 10))


def cells_of(block: Block) -> list[list[bytes]]:
    """The cells of the plain rows."""
    columns = [block.column(position) for position in range(2)]
    return [[column.at(row) for column in columns] for row in range(len(block)) if block.plain[row]]


def test_a_block_has_the_cells_of_each_row() -> None:
    """Cells come without their quotes and line ends, rows with the line of their first character."""
    content = b'a,b\n"c","d,\ne"\r\n,"f"\r\nrest,'
    block = block_of(content)
    assert block is not None
    assert cells_of(block) == [[b"a", b"b"], [b"c", b"d,\ne"], [b"", b"f"]]
    assert block.lines.tolist() == [10, 11, 13]
    assert block.after == Place(100 + len(content) - len("rest,"), 14)


def test_rows_that_are_not_plain_are_read_one_by_one() -> None:
    """Blank lines, rows of another width and cells with a doubled quote are found, and left to the reference reader."""
    block = block_of(b'a,b\n\nc\nd,e,f\n"g""h",i\n \nj,k\n')
    assert block is not None
    assert cells_of(block) == [[b"a", b"b"], [b"j", b"k"]]
    rows = [block.row(number) for number in range(len(block))]
    assert [row and (row.line, row.cells) for row in rows] == [
        (10, ["a", "b"]),
        None,
        (12, ["c"]),
        (13, ["d", "e", "f"]),
        (14, ['g"h', "i"]),
        None,
        (16, ["j", "k"]),
    ]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        pytest.param(b'"a","b"\n"","c d"\n', [["a", "b"], ["", "c d"]], id="every cell"),
        pytest.param(b'"a","b"\r\n"c",""\r\n', [["a", "b"], ["c", ""]], id="lines end in CRLF"),
        pytest.param(b'"a","b"\r\n"c","d"\n', [["a", "b"], ["c", "d"]], id="either line end"),
        pytest.param(b'"a,","b\ne"\n"c","d"\n', [["a,", "b\ne"], ["c", "d"]], id="a line end in a cell"),
        pytest.param(b'"a","b""e"\n"c","d"\n', [["a", 'b"e'], ["c", "d"]], id="a quote in a cell"),
        pytest.param(b'"a",b\n"c","d"\n', [["a", "b"], ["c", "d"]], id="a cell without"),
        pytest.param(b'"a"\n"c","d"\n"e","f","g"\n', [["a"], ["c", "d"], ["e", "f", "g"]], id="ragged"),
        pytest.param(b'"a";"b"\n"c";"d"\n', None, id="another delimiter"),
    ],
)
def test_quoted_rows_are_the_same_whichever_way_they_are_found(content: bytes, rows: list[list[str]] | None) -> None:
    """Where all is quoted, only quotes are looked for; what breaks that is found the longer way."""
    block = block_of(content)
    found = None if block is None else [row and row.cells for row in map(block.row, range(len(block)))]
    assert found == rows
    if block is not None:
        assert block.after == Place(100 + len(content), 10 + content.count(b"\n"))


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        pytest.param(b'a"b,c\n', COMMA, id="stray quote"),
        pytest.param(b'"a"b,c\n', COMMA, id="text behind a quote"),
        pytest.param(b'"a" ,c\n', COMMA, id="blank behind a quote"),
        pytest.param(b"a,b\rc,d\n", COMMA, id="carriage return alone"),
        pytest.param(b"a,\xff\n", COMMA, id="not UTF-8"),
        pytest.param(b"a,\0\n", COMMA, id="NUL"),
        pytest.param(b"a,\\b\n", Dialect(",", "\\"), id="escape character"),
        pytest.param("a§b\n".encode(), Dialect("§"), id="delimiter outside ASCII"),
        pytest.param(b'"a,b\n', COMMA, id="open quote"),
        pytest.param(b"a,b", COMMA, id="no line end"),
        pytest.param(b"", COMMA, id="nothing"),
        pytest.param(b"a," + b"b" * 70_000 + b"\n", COMMA, id="long row"),
    ],
)
def test_what_the_csv_module_must_settle_is_no_block(content: bytes, dialect: Dialect) -> None:
    """Where quotes, line ends or characters are not the usual ones, nothing is found."""
    assert block_of(content, dialect) is None


def test_without_quotes_a_quote_is_a_character() -> None:
    """Where quotes have no meaning, they stay in their cells."""
    block = block_of(b'"a,b"\n', Dialect(",", quotes=False))
    assert block is not None
    assert cells_of(block) == [[b'"a', b'b"']]


def test_only_what_is_unusual_is_read_slowly(tmp_path: Path) -> None:
    """After a stretch that the reference reader had to read, blocks go on at the next row."""
    (tmp_path / "x").write_bytes(b"phone,segment\n" + b"a,b\n" * 8 + b'c"c,d\n' + b"e,f\n" * 20)
    batches = list(read_blocks(tmp_path / "x", layout(header=True), 32))
    kinds = [type(batch) for batch in batches]
    assert kinds.count(Rows) == 1
    assert kinds[0] is kinds[-1] is Block
    found = [row for batch in batches for number in range(len(batch)) if (row := batch.row(number)) is not None]
    assert [row.line for row in found] == list(range(2, 31))
    assert [row.cells[0] for row in found] == ["a"] * 8 + ['c"c'] + ["e"] * 20


def test_a_mark_and_a_header_are_skipped(tmp_path: Path) -> None:
    """The first row is the one behind mark and header, also if the header ends in a carriage return alone."""
    for content, header in ((b"\xef\xbb\xbfa,b\n", False), (b"\xef\xbb\xbfp,s\na,b\n", True), (b"p,s\ra,b\r", True)):
        (tmp_path / "x").write_bytes(content)
        batches = list(read_blocks(tmp_path / "x", layout(header=header)))
        rows = [batch.row(number) for batch in batches for number in range(len(batch))]
        assert [row and row.cells for row in rows] == [["a", "b"]]
