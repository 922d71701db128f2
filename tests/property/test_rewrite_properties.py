"""What holds of every rewrite, whatever comes in (rules A3, P4, S5 to S9, R1)."""

import csv
import io
import re
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from hypothesis import given
from hypothesis import strategies as st
from parts.canary import assert_no_person
from parts.people import PHONE_FORMS, person
from parts.reference import assert_same

from relay.model import IdentifierKind, Report
from relay.rewrite.email import judge_email
from relay.rewrite.engine import rewrite
from relay.rewrite.files import DRAFTS, REJECTS, REPORT, SourceFile
from relay.rewrite.mask import looks_like_identifier
from relay.rewrite.phone import fold, judge_phone
from relay.rewrite.rules import SEGMENT_NAME, EmailRules, PhoneRules, Rules
from relay.rewrite.unusable import UnusableSource
from relay.rewrite.verdict import Identifier

PHONE, EMAIL = IdentifierKind.PHONE, IdentifierKind.EMAIL

IN_MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  a directory of random name in it

GOOD_SEGMENTS: Final = ("VIP", "segment 1", "Most Loyal Customers", "a")
BAD_SEGMENTS: Final = ("VIP+", "", "x" * 65, "2125550100", "jane@example.com", "Schöne Schuhe")
NOT_IN_CONTROL: Final = ("", "false", "0", "No")
OTHER_CONTROL: Final = ("true", "1", "YES", "maybe")
ODD_PHONES: Final = (
    *("", " ", "\u200b", "n/a", "222 4455", "+47 922 34 567", "2.12555E9", "2125550100.0", "212-555-0100 x45"),
    *("2125550100;2125550199", "+1 1 212 555 0100", "1-800-FLOWERS", "212*555*0100", "jane@example.com", "1234567890"),
)
ODD_EMAILS: Final = (
    *("", " ", "n/a", "2125550100", "+1 212 555 0100", "jane@", "jane doe@example.com", "jäne@example.com"),
    *('"jane"@example.com', "jane@example.com;joe@example.com", "Jane <jane@example.com>", "jane@exämple.com"),
)
PHONE_LIKE: Final = st.text("0123456789012345678901+()-. /xX;,#eEtT@:*\u00a0\u200b\u2011\uff0b１２٣", max_size=24)


@dataclass(frozen=True)
class Line:
    """One row of a made-up export; `wanted` is what must be sent for it, None where nothing may be."""

    identifier: str
    segment: str
    control: str
    given_name: str
    wanted: str | None


@st.composite
def lines(draw: st.DrawFn, kind: IdentifierKind) -> Line:
    """A row about one of a few people, good or odd in any of its cells."""
    somebody = person(draw(st.integers(0, 12)))
    if kind is PHONE:
        good, value = somebody.written(draw(st.sampled_from(PHONE_FORMS))), somebody.phone
        odd = st.one_of(st.sampled_from(ODD_PHONES), PHONE_LIKE)
    else:
        good, value = (
            draw(st.sampled_from((somebody.email, somebody.email.upper(), f" {somebody.email}"))),
            somebody.email,
        )
        odd = st.one_of(st.sampled_from(ODD_EMAILS), st.emails())
    is_good = draw(st.integers(0, 3)) > 0
    segment = draw(st.sampled_from(GOOD_SEGMENTS * 3 + BAD_SEGMENTS))
    control = draw(st.sampled_from(NOT_IN_CONTROL * 3 + OTHER_CONTROL))
    return Line(
        identifier=good if is_good else draw(odd),
        segment=segment,
        control=control,
        given_name=draw(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)),
        wanted=value if is_good and segment in GOOD_SEGMENTS and control in NOT_IN_CONTROL else None,
    )


@dataclass(frozen=True)
class Export:
    """A made-up export and the rules to rewrite it by."""

    kind: IdentifierKind
    lines: list[Line]
    rules: Rules
    columns: list[str]
    delimiter: str
    line_end: str
    mark: str
    quoting: Literal[0, 1]

    def content(self) -> bytes:
        """The export as a file."""
        text = io.StringIO()
        rows = csv.writer(text, delimiter=self.delimiter, lineterminator=self.line_end, quoting=self.quoting)
        rows.writerow(self.columns)
        for line in self.lines:
            rows.writerow([self._cell(line, column) for column in self.columns])
        return (self.mark + text.getvalue()).encode()

    def wanted(self) -> set[tuple[str, str]]:
        """Whom the good rows put into which segment."""
        return {(line.wanted, line.segment) for line in self.lines if line.wanted is not None}

    def _cell(self, line: Line, column: str) -> str:
        return {
            self.kind.value: line.identifier,
            "segment_name": line.segment,
            "is_control": line.control,
            # The writer quotes the line end that it writes, and no other: a bare CR would end a row.
            "given_name": line.given_name.replace("\r", "\r\n"),
        }[column]


@st.composite
def exports(draw: st.DrawFn) -> Export:
    """An export of either kind, in any dialect, its columns in any order, with at least one good row."""
    kind = draw(st.sampled_from(IdentifierKind))
    somebody = person(0)
    sure = Line(somebody.phone if kind is PHONE else somebody.email, "VIP", "", "", None)
    settings: dict[str, Any] = {
        "identifier": kind,
        "phone": {"extension": draw(st.sampled_from(("reject", "drop")))},
        "segment": {"rename": draw(st.sampled_from(({}, {"VIP+": "VIP"}, {"": "Nameless"})))},
    }
    return Export(
        kind=kind,
        lines=[sure, *draw(st.lists(lines(kind), max_size=20))],
        rules=Rules.model_validate(settings),
        columns=draw(st.permutations([kind.value, "segment_name", "is_control", "given_name"])),
        delimiter=draw(st.sampled_from(",\t|;")),
        line_end=draw(st.sampled_from(("\n", "\r\n"))),
        mark=draw(st.sampled_from(("", "\ufeff"))),
        quoting=draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))),
    )


@dataclass(frozen=True)
class Outcome:
    """What a rewrite returned and wrote."""

    report: Report
    drafts: dict[str, bytes]
    rejects: str
    report_json: str


def rewritten(content: bytes, rules: Rules) -> Outcome:
    """Rewrite a file with this content."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as directory:
        path, into = Path(directory, "export.csv"), Path(directory, "rewrite")
        path.write_bytes(content)
        report = rewrite([SourceFile(path, "/uploads/export.csv")], rules, into)
        drafts = {draft.segment: (into / DRAFTS / draft.file).read_bytes() for draft in report.drafts if draft.file}
        return Outcome(
            report,
            drafts,
            (into / REJECTS).read_text(encoding="utf-8"),
            (into / REPORT).read_text(encoding="utf-8"),
        )


def assert_the_same(content: bytes, rules: Rules, at_once: int) -> None:
    """See that a file with this content becomes what it becomes row by row."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as directory:
        path = Path(directory, "export.csv")
        path.write_bytes(content)
        assert_same([SourceFile(path, "/uploads/export.csv")], rules, Path(directory, "rewrite"), at_once=at_once)


def sent(outcome: Outcome) -> list[tuple[str, str]]:
    """Every row of every draft."""
    return [
        (identifier, segment)
        for content in outcome.drafts.values()
        for identifier, _, segment in (row.partition(",") for row in content.decode().splitlines())
    ]


def assert_accounted_for(report: Report) -> None:
    """Each count is what its name says, for each segment and for what belongs to none (rule S6)."""
    for counts in (report.unattributed, *(draft.counts for draft in report.drafts)):
        left_out = counts.duplicates + counts.rejected + counts.empty + counts.control
        assert counts.rows_in == counts.rows_out + left_out
        assert counts.suspect <= counts.rows_out
        assert min(asdict(counts).values()) >= 0
    assert sum(report.reasons.values()) == report.totals.rejected


@given(exports())
def test_every_row_is_accounted_for(export: Export) -> None:
    """Each row is sent, a duplicate, rejected, empty or of a control group; the rejected are in the reject report."""
    outcome = rewritten(export.content(), export.rules)
    assert_accounted_for(outcome.report)
    assert outcome.report.totals.rows_in == len(export.lines)
    assert outcome.report.totals.rows_out == len(sent(outcome))
    assert outcome.report.totals.rejected == len(list(csv.DictReader(io.StringIO(outcome.rejects))))


@given(exports())
def test_no_good_row_is_lost(export: Export) -> None:
    """Everybody whose row is good is sent for the row's segment, however the file is written."""
    assert export.wanted() <= set(sent(rewritten(export.content(), export.rules)))


@given(exports())
def test_nothing_but_accepted_forms_is_sent(export: Export) -> None:
    """A draft has ten digits or one plain address a line, its own segment, nobody twice, and no other byte."""
    outcome = rewritten(export.content(), export.rules)
    form = rb"\d{10}" if export.kind is PHONE else rb"[^\s,\"A-Z@]+@[a-z0-9.-]+"
    for segment, content in outcome.drafts.items():
        assert SEGMENT_NAME.fullmatch(segment)
        assert re.fullmatch(rb"(?:%b,%b\n)+" % (form, segment.encode()), content)
        rows = content.splitlines()
        assert len(set(rows)) == len(rows)


@given(exports())
def test_rewriting_a_rewritten_list_changes_nothing(export: Export) -> None:
    """A draft that comes in again goes out the same, all of it and nothing else (rule S7)."""
    for segment, content in rewritten(export.content(), export.rules).drafts.items():
        again = rewritten(content, export.rules)
        assert again.drafts == {segment: content}
        assert again.report.totals.rows_in == again.report.totals.rows_out


@given(exports())
def test_reports_show_nobody(export: Export) -> None:
    """Neither the reject report nor the report has an identifier in it, in whatever column it came (rule R1)."""
    outcome = rewritten(export.content(), export.rules)
    cells = [cell.strip() for line in export.lines for cell in (line.identifier, line.segment)]
    for text in (outcome.rejects, outcome.report_json):
        assert_no_person(text, "a report")
        assert not [cell for cell in cells if looks_like_identifier(cell) and cell in text]


@given(exports(), st.integers(1, 40))
def test_a_cut_off_export_puts_nobody_in_a_wrong_segment(export: Export, missing: int) -> None:
    """Whatever is missing at the end, what is sent of the rest is what is sent of the whole, or nothing is."""
    # What stands nowhere else in the export cannot be told from its beginning.
    first = [replace(export.lines[0], segment=segment) for segment in (*GOOD_SEGMENTS, *BAD_SEGMENTS)]
    content = replace(export, lines=[*first, *first, *export.lines]).content()
    whole = set(sent(rewritten(content, export.rules)))
    try:
        rest = set(sent(rewritten(content[:-missing], export.rules)))
    except UnusableSource:
        return
    if export.kind is EMAIL:
        # The beginning of the last address can be an address itself: nobody can see that.
        assert len(rest - whole) <= 1
        assert {segment for _, segment in rest} <= {segment for _, segment in whole}
    else:
        assert rest <= whole


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from(IdentifierKind))
def test_whatever_comes_in_is_used_or_refused(content: bytes, kind: IdentifierKind) -> None:
    """Any bytes at all give a report that accounts for them, or a reason; never a crash."""
    try:
        outcome = rewritten(content, Rules(identifier=kind))
    except UnusableSource:
        return
    assert_accounted_for(outcome.report)


@given(exports(), st.integers(16, 400), st.integers(0, 12), st.sampled_from(("format", "nanp", "valid")))
def test_the_engine_gives_the_answer_of_the_reference_rules(
    export: Export, at_once: int, missing: int, validation: str
) -> None:
    """Whole or cut off, in blocks of any size, an export becomes what it becomes row by row, byte for byte."""
    phone = {**export.rules.phone.model_dump(), "validation": validation}
    rules = Rules.model_validate({**export.rules.model_dump(), "phone": phone})
    content = export.content()
    assert_the_same(content[: len(content) - missing], rules, at_once)


@given(
    st.lists(
        st.sampled_from((*'ab12",;\t\n\r \\é', "\r\n", '""', ",", "\n", '"a"', "2125550100", "\0", "\x1a")), max_size=60
    ),
    st.sampled_from(({}, {"quotes": "none"}, {"escape": "\\"}, {"delimiter": ","}, {"header": "required"})),
    st.integers(1, 64),
)
def test_the_engine_reads_any_text_as_the_csv_module_does(
    pieces: list[str], source: dict[str, Any], at_once: int
) -> None:
    """Stray quotes, ragged rows, mixed line ends: the engine sees the rows that the reference reader sees."""
    rules = Rules.model_validate({"identifier": "phone", "source": source})
    for head in ("phone,segment_name\n", "2125550100,VIP\n"):
        assert_the_same((head + "".join(pieces)).encode(), rules, at_once)


@given(
    st.lists(st.sampled_from(GOOD_SEGMENTS), min_size=2, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2), st.booleans()), max_size=4),
    st.permutations(["phone", "segment_name", "given_name"]),
    st.sampled_from(({}, {"escape": "\\"}, {"escape": "\\", "quotes": "none"})),
    st.integers(16, 200),
)
def test_no_stray_mark_swallows_a_row(
    segments: list[str],
    strays: list[tuple[int, int, bool]],
    columns: list[str],
    source: dict[str, str],
    at_once: int,
) -> None:
    """Where quotes or escape characters stray into an export, all its rows are counted, or it is refused."""
    mark = "\\" if source.get("quotes") == "none" else '"'
    rows = [
        [{"phone": person(number).phone, "segment_name": segment, "given_name": "Jo"}[column] for column in columns]
        for number, segment in enumerate(segments)
    ]
    for number, place, before in strays:
        cells = rows[number % len(rows)]
        cells[place] = mark + cells[place] if before else cells[place] + mark
    content = "".join(f"{','.join(cells)}\n" for cells in (columns, *rows)).encode()
    rules = Rules.model_validate({"identifier": "phone", "source": source})
    assert_the_same(content, rules, at_once)
    try:
        outcome = rewritten(content, rules)
    except UnusableSource:
        return
    assert outcome.report.totals.rows_in == len(rows)


@given(PHONE_LIKE, st.sampled_from(("reject", "drop")))
def test_a_number_is_the_cells_own(cell: str, extension: str) -> None:
    """An accepted number has all the digits of its cell but a known prefix and a dropped extension (rule P4)."""
    rules = PhoneRules.model_validate({"extension": extension})
    judged = judge_phone(cell, rules)
    if isinstance(judged, Identifier):
        digits = re.sub(r"\D", "", fold(cell))
        tail = r"\d{1,6}" if extension == "drop" else ""
        assert re.fullmatch(rf"(?:1|001|0111)?{judged.value}(?:{tail})?", digits)
        assert judge_phone(judged.value, rules) == judged


@given(st.emails(), st.booleans(), st.sampled_from(("lower", "preserve")))
def test_an_address_stays_the_same(cell: str, internationalized: bool, case: str) -> None:  # noqa: FBT001
    """What is written for an address is written for it again when it comes back, and means the same person."""
    rules = EmailRules.model_validate({"internationalized": internationalized, "case": case})
    judged = judge_email(cell, rules)
    if isinstance(judged, Identifier):
        assert judge_email(judged.value, rules) == judged


@given(
    st.text(st.sampled_from("aäÄẞßİıſ\u0301.ΑΣςσﬁéÉ１"), min_size=1, max_size=6), st.sampled_from(("lower", "preserve"))
)
def test_an_internationalised_address_stays_the_same(local: str, case: str) -> None:
    """The same holds outside ASCII, where cases do not come in pairs."""
    rules = EmailRules.model_validate({"internationalized": True, "case": case})
    for cell in (f"{local}@example.com", f"jane@{local}.example.com"):
        judged = judge_email(cell, rules)
        if isinstance(judged, Identifier):
            assert judge_email(judged.value, rules) == judged
