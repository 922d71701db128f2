"""Sources: what rows a file has, on which lines, and what its columns are taken for (rules S1 to S3, S8)."""

from pathlib import Path
from typing import Any

import pytest
from parts.people import PHONE_FORMS, people

from relay.rewrite.dialect import Dialect
from relay.rewrite.layout import Layout
from relay.rewrite.rules import Rules
from relay.rewrite.source import SAMPLE_ROWS, Bare, recognise
from relay.rewrite.text import LONGEST_LINE, read_rows
from relay.rewrite.unusable import Unusable, UnusableSource

PHONES = Rules.model_validate({"identifier": "phone"})
EMAILS = Rules.model_validate({"identifier": "email"})


def rows_of(path: Path, content: bytes, delimiter: str = ",", escape: str | None = None) -> list[tuple[int, list[str]]]:
    """The rows of a file with this content, each with its line."""
    path.write_bytes(content)
    return [(row.line, row.cells) for row in read_rows(path, Dialect(delimiter, escape))]


def layout_of(path: Path, content: str, rules: Rules = PHONES, earlier: Layout | None = None) -> Layout:
    """What a file with this content is taken for."""
    path.write_text(content, encoding="utf-8", newline="")
    layout = recognise(path, rules, earlier)
    assert isinstance(layout, Layout)
    return layout


def trouble_with(path: Path, content: str, **rules: Any) -> UnusableSource:
    """Why a file with this content cannot be used."""
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(UnusableSource) as raised:
        recognise(path, Rules.model_validate({"identifier": "phone", **rules}))
    return raised.value


def test_a_row_has_the_line_of_its_first_character(tmp_path: Path) -> None:
    """Lines are counted by their LF, through quoted line ends and blank lines, whatever other ends there are."""
    content = b'a,b\r\n\n"1\n2\r\n3",c\n  \nd,"e\rf"\ng,h\ri,j\nk,l'
    assert rows_of(tmp_path / "x", content) == [
        (1, ["a", "b"]),
        (3, ["1\n2\r\n3", "c"]),
        (7, ["d", "e\rf"]),
        (8, ["g", "h"]),
        (8, ["i", "j"]),
        (9, ["k", "l"]),
    ]


def test_only_the_row_at_an_unfinished_end_is_unfinished(tmp_path: Path) -> None:
    """A row is unfinished if the file ends in it without any kind of line end."""
    for content, unfinished in ((b"a\nb", True), (b"a\nb\n", False), (b"a\nb\r", False), (b'a\n"b\nc"', True)):
        (tmp_path / "x").write_bytes(content)
        first, last = read_rows(tmp_path / "x", Dialect(","))
        assert (first.unfinished, last.unfinished) == (False, unfinished)


def test_what_holds_nothing_is_not_a_row(tmp_path: Path) -> None:
    """Blank lines, lines of blanks, a lone empty cell and Ctrl-Z are no rows; a row of empty cells is one."""
    assert rows_of(tmp_path / "x", b'\n \t\n""\n\r\n,\n') == [(5, ["", ""])]
    assert rows_of(tmp_path / "x", b"a,b\n\x1a\n\x1a") == [(1, ["a", "b"])]


def test_a_byte_order_mark_is_no_part_of_the_first_cell(tmp_path: Path) -> None:
    """A byte-order mark is taken off the beginning, and only there."""
    assert rows_of(tmp_path / "x", b"\xef\xbb\xbfa,b\n\xef\xbb\xbfc,d\n") == [(1, ["a", "b"]), (2, ["\ufeffc", "d"])]


def test_an_escape_character_works_only_where_it_is_named(tmp_path: Path) -> None:
    """With an escape character a quote within quotes is a character; without, the quotes are broken."""
    content = rb'"a \"b\" c",d' + b"\n"
    assert rows_of(tmp_path / "x", content, escape="\\") == [(1, ['a "b" c', "d"])]
    with pytest.raises(UnusableSource, match="broken_quotes"):
        rows_of(tmp_path / "x", content)


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        pytest.param(b"a,b\nc,\xff\n", Unusable.NOT_TEXT, "line 2 is not UTF-8", id="not UTF-8"),
        pytest.param(b"a,b\nc,\0\n", Unusable.NOT_TEXT, "line 2 has a NUL", id="NUL"),
        pytest.param(b"a,b\n" + b"x" * (LONGEST_LINE + 1), Unusable.NOT_TEXT, "line 2 is longer", id="endless line"),
        pytest.param(b"a,b\nc,\xe2\x82", Unusable.TRUNCATED, "line 2, the last", id="half a character at the end"),
        pytest.param(b"a,b\nc,\xe2\x82\n", Unusable.NOT_TEXT, "line 2 is not UTF-8", id="half a character before"),
        pytest.param(b'a,b\nc,"d\ne,f\n', Unusable.TRUNCATED, "begins in line 2 does not", id="open quote at the end"),
        pytest.param(b'a,b\n"c" d,e\nf,g\n', Unusable.BROKEN_QUOTES, "begins in line 2", id="text behind a quote"),
        pytest.param(b'a,b\nc,"' + b"d\n" * 70_000, Unusable.BROKEN_QUOTES, "begins in line 2", id="endless cell"),
    ],
)
def test_what_is_no_whole_text_is_refused(tmp_path: Path, content: bytes, reason: Unusable, said: str) -> None:
    """Reading stops at what is not text or not whole, names the line, and shows nothing of it."""
    with pytest.raises(UnusableSource, match=said) as raised:
        rows_of(tmp_path / "x", content)
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (b"x\\", "ends in an escape character"),
        (b"x\\\n", "ends in an escape character"),
        (b'"x\\"\n', "a quote in the row"),
        (b'"x\\\\\n', "a quote in the row"),
    ],
)
def test_an_escape_character_at_the_end_is_not_called_a_quote(tmp_path: Path, end: bytes, said: str) -> None:
    """What the file lacks behind an escape character, or behind a quote that may be escaped itself, is told apart."""
    with pytest.raises(UnusableSource, match=said) as raised:
        rows_of(tmp_path / "x", b"a,b\nc," + end, escape="\\")
    assert raised.value.reason == Unusable.TRUNCATED


def test_every_usual_header_is_recognised(tmp_path: Path) -> None:
    """A first row without an identifier that has a known column name is a header, in any case."""
    for header in ("Phone,segment_name", "PHONE , Segment_Name", '"phone","segment_name"', "amperity_id,segment_name"):
        assert layout_of(tmp_path / "x", f"{header}\n2125550100,VIP\n").has_header


@pytest.mark.parametrize(
    ("first", "seems"),
    [
        pytest.param("Phone Number,Segment 1", True, id="names"),
        pytest.param("n/a,VIP", False, id="a segment that comes again"),
        pytest.param(",Segment", False, id="no word at all in a cell"),
        pytest.param("222 4455,Segment", False, id="what may be a number"),
        pytest.param("Number", False, id="another width"),
    ],
)
def test_a_header_with_unknown_names_is_no_row(tmp_path: Path, first: str, *, seems: bool) -> None:
    """A first row of words, above numbers and with no word that comes again, is not taken for a person's."""
    content = f"{first}\n2125550100,VIP\n2125550101,VIP\n"
    if seems:
        assert trouble_with(tmp_path / "x", content).reason == Unusable.UNKNOWN_HEADER
        rules = Rules.model_validate({"identifier": "phone", "source": {"header": "none"}})
        assert not layout_of(tmp_path / "x", content, rules).has_header
    else:
        assert not layout_of(tmp_path / "x", content).has_header


def test_a_person_is_no_header(tmp_path: Path) -> None:
    """A first row that may be a person is data, although one of its cells is a column's name."""
    for first in ("2125550100,phone", "jane@example.com,phone", "222 4455,mobile"):
        assert not layout_of(tmp_path / "x", f"{first}\n2125550101,VIP\n").has_header


@pytest.mark.parametrize("form", range(len(PHONE_FORMS)))
def test_phones_are_found_by_content_in_every_form(tmp_path: Path, form: int) -> None:
    """Without a header the column of phone numbers is found, however they are written."""
    content = "".join(f"VIP,{person.written(PHONE_FORMS[form])}\n" for person in people(5))
    layout = layout_of(tmp_path / "x", content)
    assert (layout.identifier.position, [it.position for it in layout.segment]) == (1, [0])


def test_a_column_is_the_identifiers_if_half_of_its_cells_are(tmp_path: Path) -> None:
    """Cells that are empty do not count, others may be bad; fewer than half are not enough."""
    rows = ["2125550100,VIP", "n/a,VIP", ",VIP", ",VIP", ",VIP"]
    assert layout_of(tmp_path / "x", "\n".join(rows)).identifier.position == 0
    assert trouble_with(tmp_path / "x", "\n".join([*rows, "none,VIP"])).reason == Unusable.NO_IDENTIFIER_COLUMN


def test_names_come_before_content(tmp_path: Path) -> None:
    """The first of the wanted names decides, in the route's order and not in the file's."""
    content = "mobile,phone,segment_name\n2125550100,2125550101,VIP\n"
    assert layout_of(tmp_path / "x", content).identifier.position == 1
    rules = Rules.model_validate({"identifier": "phone", "source": {"identifier_column": ["cell", "Mobile"]}})
    assert layout_of(tmp_path / "x", content, rules).identifier.position == 0


def test_one_column_cannot_be_both(tmp_path: Path) -> None:
    """The identifier's column is never taken for the segment's as well."""
    trouble = trouble_with(tmp_path / "x", "phone,group\n2125550100,VIP\n", segment={"column": ["phone"]})
    assert trouble.reason == Unusable.NO_SEGMENT_COLUMN


def test_the_same_file_is_another_list_by_another_identifier(tmp_path: Path) -> None:
    """Which column identifies a person is the route's word, not the file's (rule A4)."""
    content = "phone,email,segment_name\n2125550100,jane@example.com,VIP\n"
    assert layout_of(tmp_path / "x", content, PHONES).identifier.name == "phone"
    assert layout_of(tmp_path / "x", content, EMAILS).identifier.name == "email"


@pytest.mark.parametrize("delimiter", [",", "\t", "|", ";"])
@pytest.mark.parametrize("header", ["phone{0}given_name{0}segment_name\n", "contact{0}given_name{0}list\n", ""])
def test_delimiters_are_recognised(tmp_path: Path, delimiter: str, header: str) -> None:
    """The delimiter is recognised with a known header, an unknown one and none, whatever else is in the cells."""
    noise = "".join(other for other in ",|;" if other != delimiter)
    rows = [f'{person.phone}{delimiter}"Jane{noise}"{delimiter}VIP\n' for person in people(3)]
    rules = Rules.model_validate({"identifier": "phone", "segment": {"name": "VIP"}})
    layout = layout_of(tmp_path / "x", header.format(delimiter) + "".join(rows), rules)
    assert (layout.dialect.delimiter, layout.width) == (delimiter, 3)


def test_only_the_sample_decides(tmp_path: Path) -> None:
    """A source is recognised by its first rows, so that a large one is not read twice."""
    blank = ",VIP\n" * SAMPLE_ROWS
    assert trouble_with(tmp_path / "x", blank + "2125550100,VIP\n").reason == Unusable.NO_IDENTIFIER_COLUMN
    assert layout_of(tmp_path / "x", blank[len(",VIP\n") :] + "2125550100,VIP\n").identifier.position == 0


def test_a_part_without_header_continues_the_first(tmp_path: Path) -> None:
    """In an export of several files, one without header has the columns of the first."""
    first = layout_of(tmp_path / "x", "home,segment_name,phone\n2125550150,VIP,2125550100\n")
    layout = layout_of(tmp_path / "y", "2125550151,VIP,2125550101\n", earlier=first)
    assert (layout.has_header, layout.identifier, layout.names) == (False, first.identifier, first.names)


def test_files_without_people_are_told_apart(tmp_path: Path) -> None:
    """A file with nothing in it and one with only a header are no layout."""
    for content, bare in (("", Bare.EMPTY), ("\n\n", Bare.EMPTY), ("phone,segment_name\n", Bare.HEADER_ONLY)):
        (tmp_path / "x").write_text(content, encoding="utf-8")
        assert recognise(tmp_path / "x", PHONES) is bare


@pytest.mark.parametrize(
    ("content", "rules"),
    [
        pytest.param("+44 20 7946 0000,VIP\nn/a,VIP\n", {}, id="no identifier"),
        pytest.param("2125550100,2125550101\n", {}, id="two"),
        pytest.param("2125550100,VIP,x\n", {}, id="no segment"),
        pytest.param("2125550100,VIP\n", {"source": {"header": "required"}}, id="no header"),
        pytest.param("jane@example.com,VIP\n", {}, id="the other kind"),
        pytest.param('"VIP" 2125550100,x\n', {}, id="quotes"),
    ],
)
def test_trouble_shows_no_cell_of_a_row(tmp_path: Path, content: str, rules: dict[str, Any]) -> None:
    """Where there is no header, neither detail nor hint shows anything of the first row, which is a person."""
    trouble = trouble_with(tmp_path / "x", content, **rules)
    for cell in ("VIP", "2125550100", "2125550101", "7946", "jane", "example.com"):
        assert cell not in trouble.detail + trouble.hint


def test_a_header_that_holds_a_person_is_shown_masked(tmp_path: Path) -> None:
    """Column names are shown, but not what may be a person's number or address among them."""
    trouble = trouble_with(
        tmp_path / "x", "call 2125550100,list of jane@example.com,VIP\n1,2,3\n", source={"header": "required"}
    )
    assert trouble.reason == Unusable.NO_HEADER
    named = "call 212555 0100,VIP list\nx,y\n"
    assert "call ****** ****, VIP list" in trouble_with(tmp_path / "x", named, source={"header": "required"}).detail
