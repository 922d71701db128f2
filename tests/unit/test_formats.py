"""The formats beside CSV: NDJSON, JSON and Parquet as rows of cells (rules K8 to K12)."""

import datetime as dt
import decimal
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relay.model import IdentifierKind
from relay.rewrite.engine import rewrite
from relay.rewrite.files import SourceFile
from relay.rewrite.formats import columns_of, format_of, read_batches
from relay.rewrite.layout import Format
from relay.rewrite.rules import Rules, SourceRules, UnpackRules
from relay.rewrite.unusable import Unusable, UnusableSource

RULES = Rules(identifier=IdentifierKind.PHONE)
ROW = '{"phone": "2125550100", "segment_name": "VIP"}'
OTHER_ROW = '{"phone": "2125550101", "segment_name": "VIP"}'


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Writes a file with the content given and returns its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "source"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    """Writes a Parquet file with the columns given and returns its path."""

    def write(columns: dict[str, Any], **options: Any) -> Path:
        path = tmp_path / "source.parquet"
        pq.write_table(pa.table(columns), path, **options)
        return path

    return write


def cells_of(path: Path, kind: Format) -> list[list[str]]:
    """Every row's cells, below the columns' names."""
    columns = columns_of(path, kind, RULES)
    rows = [row for batch in read_batches(path, kind, columns) for row in batch]
    return [list(columns), *(row.cells for row in rows)]


def lines_of(path: Path, kind: Format) -> list[int]:
    """The line or number of every row."""
    columns = columns_of(path, kind, RULES)
    return [row.line for batch in read_batches(path, kind, columns) for row in batch]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(f"{ROW}\n{OTHER_ROW}\n", Format.NDJSON, id="an object a line"),
        pytest.param(ROW, Format.NDJSON, id="one object"),
        pytest.param(f"\ufeff\n{ROW}\n", Format.NDJSON, id="mark and blank line first"),
        pytest.param('{"phone": "21255', Format.NDJSON, id="cut off in the first line"),
        pytest.param(f"[{ROW}]", Format.JSON, id="an array"),
        pytest.param(f"\ufeff [\n{ROW}\n]", Format.JSON, id="an array behind a mark"),
        pytest.param("[]", Format.JSON, id="an array of nothing"),
        pytest.param(f'{{"rows": [{ROW}]}}', Format.JSON, id="an array in an object, in one line"),
        pytest.param(f'{{\n"rows": [\n{ROW}]}}', Format.JSON, id="an array in an object"),
        pytest.param('{\n"rows": [\n{"pho', Format.JSON, id="cut off below the first line"),
        pytest.param('{"rows": [' + f"{ROW}," * 100_000 + ROW + "]}", Format.JSON, id="a large array in an object"),
        pytest.param(b"PAR1\x15rest", Format.PARQUET, id="Parquet"),
        pytest.param("phone,segment_name\n", Format.CSV, id="text"),
        pytest.param("[phone],[segment_name]\n", Format.CSV, id="text with brackets"),
        pytest.param("{phone},x\n", Format.CSV, id="text with braces"),
        pytest.param("", Format.CSV, id="nothing"),
    ],
)
def test_the_format_is_told_from_the_content(
    written: Callable[[str | bytes], Path], content: str | bytes, expected: Format
) -> None:
    """What begins like objects is NDJSON or JSON, what begins with its mark is Parquet, all else is CSV."""
    assert format_of(written(content), "auto") is expected


@pytest.mark.parametrize(
    ("content", "setting"),
    [(ROW, "parquet"), ("phone,segment_name\n", "json"), ("phone,segment_name\n", "ndjson"), (b"PAR1rest", "csv")],
)
def test_another_format_than_the_setting_says_is_refused(
    written: Callable[[str | bytes], Path], content: str | bytes, setting: str
) -> None:
    """`source.format` is believed, and what cannot be that is refused with both named."""
    with pytest.raises(UnusableSource, match=r"it (is|does) .*; .* was expected") as raised:
        format_of(written(content), setting)
    assert raised.value.reason == Unusable.OTHER_FORMAT
    assert "source.format" in raised.value.hint


def test_the_setting_settles_the_format(written: Callable[[str | bytes], Path]) -> None:
    """An object that could be a row or hold rows is what the setting says."""
    path = written(f'{{"rows": [{ROW}]}}')
    assert format_of(path, "ndjson") is Format.NDJSON
    assert format_of(path, "json") is Format.JSON
    assert format_of(path, "csv") is Format.CSV


def test_columns_are_those_of_all_objects(written: Callable[[str | bytes], Path]) -> None:
    """A name that only a later object has is a column, too: writers leave out what is null."""
    path = written(f'{ROW}\n{{"is_control": true, "phone": null}}\n{{}}\n')
    assert cells_of(path, Format.NDJSON) == [
        ["phone", "segment_name", "is_control"],
        ["2125550100", "VIP", ""],
        ["", "", "true"],
        ["", "", ""],
    ]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("null", ""),
        ("true", "true"),
        ("false", "false"),
        ("2125550100", "2125550100"),
        ("2125550100.0", "2125550100.0"),
        ("2.1255501E9", "2.1255501E9"),
        ("12345678901234567890123456789", "12345678901234567890123456789"),
        ('"21\\u0032"', "212"),
        ('["2125550100"]', '["2125550100"]'),
        ('{"a": 1}', '{"a": "1"}'),
    ],
)
@pytest.mark.parametrize("kind", [Format.NDJSON, Format.JSON])
def test_values_become_cells_as_they_are_written(
    written: Callable[[str | bytes], Path], kind: Format, value: str, cell: str
) -> None:
    """A number stays as it is written, null is nothing, and what is nested is no plain text."""
    row = f'{{"x": {value}}}'
    assert cells_of(written(row if kind is Format.NDJSON else f"[{row}]"), kind)[1] == [cell]


def test_rows_are_found_by_their_lines(written: Callable[[str | bytes], Path]) -> None:
    """The line of a row is that in which its object begins, also behind blank lines and line ends in texts."""
    assert lines_of(written(f"{ROW}\n\n \n{ROW}\r\n{ROW}"), Format.NDJSON) == [1, 4, 5]
    pretty = json.dumps([json.loads(ROW)] * 3, indent=1)
    assert lines_of(written(pretty), Format.JSON) == [2, 6, 10]
    assert lines_of(written(f'{{\n"rows":\n[ {ROW}, {ROW},\n{ROW}] }}'), Format.JSON) == [3, 3, 4]


def test_long_documents_are_read_piece_by_piece(written: Callable[[str | bytes], Path]) -> None:
    """Objects are found wherever the pieces that are read begin and end."""
    rows = [{"phone": f"{number}", "x": "é😀" * (number % 50)} for number in range(20_000)]
    path = written(json.dumps(rows, ensure_ascii=False, indent=1))
    assert cells_of(path, Format.JSON)[1:] == [[row["phone"], row["x"]] for row in rows]
    assert lines_of(path, Format.JSON) == list(range(2, 80_002, 4))


def test_a_name_twice_in_an_object_rejects_its_row(written: Callable[[str | bytes], Path], tmp_path: Path) -> None:
    """Of two values under one name nobody knows which one is meant; the other rows are judged."""
    path = written(f'{{"phone": "2125550109", "phone": "2125550108", "segment_name": "VIP"}}\n{ROW}\n')
    report = rewrite([SourceFile(path, "x")], RULES, tmp_path / "rewrite")
    assert report.reasons == {"wrong_column_count": 1}
    assert report.totals.rows_out == 1


@pytest.mark.parametrize(
    ("content", "kind", "reason", "said"),
    [
        pytest.param(f'{ROW}\n{{"pho', Format.NDJSON, Unusable.TRUNCATED, "line 2, the last", id="cut-off line"),
        pytest.param(f"{ROW}\nx\n{ROW}\n", Format.NDJSON, Unusable.BROKEN_JSON, "line 2 is not a JSON", id="no JSON"),
        pytest.param(f"{ROW}\n[1]\n", Format.NDJSON, Unusable.BROKEN_JSON, "line 2 is JSON, but no", id="no object"),
        pytest.param(f'{ROW}\n{{"x": NaN}}\n', Format.NDJSON, Unusable.BROKEN_JSON, "line 2", id="no number"),
        pytest.param(f"{ROW} {ROW}\n", Format.NDJSON, Unusable.BROKEN_JSON, "line 1", id="two in a line"),
        pytest.param(
            '{"a": [{"x": 1}\n{"y": 1}]}, {"z": 1}\n',
            *(Format.NDJSON, Unusable.BROKEN_JSON, "line 1 is not a JSON"),
            id="two objects across two lines",
        ),
        pytest.param(
            f"{ROW},{ROW}\n", Format.NDJSON, Unusable.BROKEN_JSON, "line 1 is not a JSON", id="as if in an array"
        ),
        pytest.param(b'{"x": "\xff"}\n', Format.NDJSON, Unusable.NOT_TEXT, "line 1 is not UTF-8", id="no UTF-8"),
        pytest.param("[" * 100_000 + "\n", Format.NDJSON, Unusable.BROKEN_JSON, "line 1", id="bottomless"),
        pytest.param('{"x": "' + "x" * 5_000_000, Format.NDJSON, Unusable.BROKEN_JSON, "longer", id="endless line"),
        pytest.param(f"[{ROW},\n{ROW}", Format.JSON, Unusable.TRUNCATED, "in line 2", id="cut off behind a row"),
        pytest.param(f"[{ROW},\n{ROW},", Format.JSON, Unusable.TRUNCATED, "in line 2", id="cut off behind a comma"),
        pytest.param(f'[{ROW},\n{{"pho', Format.JSON, Unusable.TRUNCATED, "in line 2", id="cut off in a row"),
        pytest.param(b'[{"x": "\xe2\x82', Format.JSON, Unusable.TRUNCATED, "in line 1", id="cut off in a character"),
        pytest.param(f'{{"a": [{ROW}]', Format.JSON, Unusable.TRUNCATED, "in line 1", id="cut off before the brace"),
        pytest.param(b'[{"x":\n"\xff"}]', Format.JSON, Unusable.NOT_TEXT, "line 2 is not UTF-8", id="JSON, no UTF-8"),
        pytest.param(f"[{ROW}\n{ROW}]", Format.JSON, Unusable.BROKEN_JSON, "line 2: neither a comma", id="no comma"),
        pytest.param(f"[{ROW}, 1]", Format.JSON, Unusable.BROKEN_JSON, "something else than an object", id="a number"),
        pytest.param(f"[{ROW}]\nx", Format.JSON, Unusable.BROKEN_JSON, "line 2: something follows", id="more behind"),
        pytest.param('[{"a" 1},\n{}]', Format.JSON, Unusable.BROKEN_JSON, "line 1 is not JSON", id="no colon"),
        pytest.param(f'{{"a": [{ROW}], "b": [{ROW}]}}', Format.JSON, Unusable.NO_ROWS, "a, b", id="two arrays"),
        pytest.param('{"a": [1, []], "b": {}}', Format.JSON, Unusable.NO_ROWS, "no array of objects", id="no array"),
        pytest.param('[{"x": [' + "[" * 100_000, Format.JSON, Unusable.TRUNCATED, "line 1", id="bottomless document"),
        pytest.param(
            "".join(f'{{"{number}": 1}}\n' for number in range(1001)),
            *(Format.NDJSON, Unusable.TOO_MANY_COLUMNS, "more than 1,000 different names"),
            id="a name for each row",
        ),
    ],
)
def test_broken_json_is_refused_with_its_place(
    written: Callable[[str | bytes], Path], content: str | bytes, kind: Format, reason: Unusable, said: str
) -> None:
    """What is cut off is told from what is wrong, and where; nothing of it is shown."""
    with pytest.raises(UnusableSource, match=said) as raised:
        cells_of(written(content), kind)
    assert raised.value.reason == reason
    assert "2125550100" not in raised.value.message


def test_json_cut_anywhere_is_never_a_shorter_list(written: Callable[[str | bytes], Path]) -> None:
    """A document is refused wherever it is cut off; of NDJSON only whole lines are left over."""
    document = f'{{"a": 1, "rows": [{ROW}, {OTHER_ROW}], "b": 2}}'
    for size in range(1, len(document)):
        with pytest.raises(UnusableSource) as raised:
            cells_of(written(document[:size]), Format.JSON)
        assert raised.value.reason == Unusable.TRUNCATED
    text = f"{ROW}\n{OTHER_ROW}\n"
    for size in set(range(1, len(text))) - {len(ROW), len(ROW) + 1, len(text) - 1}:
        with pytest.raises(UnusableSource) as raised:
            cells_of(written(text[:size]), Format.NDJSON)
        assert raised.value.reason == Unusable.TRUNCATED


def test_parquet_values_become_the_texts_that_csv_has(parquet: Callable[..., Path]) -> None:
    """Integers are their digits, floats what they are, truth is true or false, and null is nothing."""
    day = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
    path = parquet(
        {
            "integer": [2125550100, None],
            "float": [2125550100.0, None],
            "decimal": [decimal.Decimal("2125550100.00"), None],
            "text": ["é,\n", ""],
            "bytes": [b"2125550100", None],
            "dictionary": pa.array(["VIP", None]).dictionary_encode(),
            "truth": [True, False],
            "list": [[1], None],
            "nothing": pa.nulls(2),
        }
    )
    assert cells_of(path, Format.PARQUET)[1:] == [
        ["2125550100", "2125550100.0", "2125550100.00", "é,\n", "2125550100", "VIP", "true", "[1]", ""],
        ["", "", "", "", "", "", "false", "", ""],
    ]
    times = parquet({"time": pa.array([day], pa.timestamp("s", "UTC"))})
    assert not cells_of(times, Format.PARQUET)[1][0].isdecimal()


def test_parquet_rows_are_numbered_over_batches_and_groups(parquet: Callable[..., Path]) -> None:
    """The line of a row is its number in the file."""
    path = parquet({"x": list(range(50_000))}, row_group_size=7_000)
    assert lines_of(path, Format.PARQUET) == list(range(1, 50_001))


def test_only_columns_of_concern_are_read(parquet: Callable[..., Path]) -> None:
    """Other cells stay empty, at their places; of columns with one name all are read."""
    path = parquet({"a": [1], "b": [2], "c": [3]})
    assert [row.cells for row in next(read_batches(path, Format.PARQUET, ("a", "b", "c"), (0, 2)))] == [["1", "", "3"]]
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, path)
    assert [row.cells for row in next(read_batches(path, Format.PARQUET, ("a", "a"), (1,)))] == [["1", "2"]]


def test_a_cut_off_parquet_file_is_truncated(parquet: Callable[..., Path]) -> None:
    """Wherever a Parquet file is cut off, it is refused as cut off."""
    path = parquet({"phone": ["2125550100"] * 100})
    whole = path.read_bytes()
    for size in (4, 8, 12, 50, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UnusableSource) as raised:
            cells_of(path, Format.PARQUET)
        assert raised.value.reason == Unusable.TRUNCATED


def test_a_damaged_parquet_file_is_refused(parquet: Callable[..., Path]) -> None:
    """Damage to the directory of a file, or to a page with a checksum, is found."""
    path = parquet({"phone": [f"{number}" for number in range(1000)]}, write_page_checksum=True, compression="none")
    whole = path.read_bytes()
    for place in (200, len(whole) - 6):
        path.write_bytes(whole[:place] + bytes((whole[place] ^ 0xFF,)) + whole[place + 1 :])
        with pytest.raises(UnusableSource) as raised:
            cells_of(path, Format.PARQUET)
        assert raised.value.reason == Unusable.DAMAGED


def test_bytes_that_are_no_text_are_refused(parquet: Callable[..., Path]) -> None:
    """A column of bytes that are not UTF-8 has no text."""
    with pytest.raises(UnusableSource, match="not UTF-8"):
        cells_of(parquet({"x": [b"\xff"]}), Format.PARQUET)


def test_a_parquet_file_of_endless_rows_is_a_bomb(parquet: Callable[..., Path]) -> None:
    """A few bytes that claim millions of rows are refused before any is read."""
    path = parquet({"x": pa.nulls(20_000_000)})
    with pytest.raises(UnusableSource, match=r"unpack\.ratio") as raised:
        columns_of(path, Format.PARQUET, Rules(identifier=IdentifierKind.PHONE, unpack=UnpackRules(ratio=10)))
    assert raised.value.reason == Unusable.TOO_LARGE


def test_pyarrow_is_loaded_only_for_parquet(written: Callable[[str | bytes], Path], tmp_path: Path) -> None:
    """Whoever never gets Parquet never waits for its library."""
    program = (
        "import sys; from pathlib import Path\n"
        "from relay.rewrite.engine import rewrite\n"
        "from relay.rewrite.files import SourceFile; from relay.rewrite.rules import Rules\n"
        "rewrite([SourceFile(Path(sys.argv[1]), 'x')], Rules(identifier='phone'), Path(sys.argv[2]))\n"
        "print('pyarrow' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, written(f"{ROW}\n"), tmp_path / "rewrite"], check=True, capture_output=True
    )
    assert ran.stdout == b"False\n"


def test_formats_may_be_mixed_within_an_export(
    written: Callable[[str | bytes], Path], parquet: Callable[..., Path], tmp_path: Path
) -> None:
    """Each source of an export is read in its own format."""
    sources = [SourceFile(written(f"{ROW}\n"), "1"), SourceFile(parquet({"segment_name": ["VIP"], "phone": [12]}), "2")]
    report = rewrite(sources, RULES, tmp_path / "rewrite")
    assert (report.totals.rows_in, report.totals.rows_out, report.totals.rejected) == (2, 1, 1)


def test_a_format_is_a_setting() -> None:
    """The settings know exactly the formats that there are, and `auto`."""
    for kind in ("auto", *Format):
        assert SourceRules.model_validate({"format": str(kind)}).format == kind


@pytest.mark.parametrize("kind", [Format.NDJSON, Format.JSON])
def test_half_a_character_is_kept_from_every_cell(written: Callable[[str | bytes], Path], kind: Format) -> None:
    """Half of a surrogate pair, in a name, a text or a nested value, becomes what is no character; a pair is one."""
    row = r'{"a\ud83d": "x\ude00\ud83d", "b": ["\ud83d"], "c": "\ud83d\ude00", "d": 1}'
    path = written(row + "\n" if kind is Format.NDJSON else f"[{row}]")
    assert cells_of(path, kind) == [["a\uffff", "b", "c", "d"], ["x\uffff\uffff", '["\uffff"]', "\U0001f600", "1"]]


@pytest.mark.parametrize("depth", [300, 700, 900])
def test_what_is_nested_deeply_is_a_cell_like_any_other(written: Callable[[str | bytes], Path], depth: int) -> None:
    """A value of any depth that the parser takes becomes a text, if only one that stands for it."""
    path = written(f'{{"a": {"[" * depth}{"]" * depth}, "b": "x"}}\n')
    (_, [cell, other]) = cells_of(path, Format.NDJSON)
    assert cell in {"[" * depth + "]" * depth, "[…]"}
    assert other == "x"
