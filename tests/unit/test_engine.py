"""The engine: what it writes, how, and that it accounts for every row. What rows become is the golden cases' to say."""

import csv
import hashlib
import os
import resource
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from parts.people import Person, people, person

from relay.model import Report
from relay.rewrite.engine import rewrite
from relay.rewrite.files import DRAFTS, REJECTS, REPORT, SourceFile
from relay.rewrite.report import Reject, RejectReport, load_report
from relay.rewrite.rules import Rules
from relay.rewrite.unusable import UnusableSource
from relay.rewrite.verdict import Reason

if TYPE_CHECKING:
    from relay.rewrite.progress import Progress

PHONES = Rules.model_validate({"identifier": "phone"})


def a_source(path: Path, rows: Sequence[tuple[Person, str]]) -> SourceFile:
    """A source with these people in these segments."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("phone", "segment_name"), *((somebody.phone, name) for somebody, name in rows)])
    return SourceFile(path, f"/uploads/{path.name}")


@contextmanager
def few_descriptors(more: int) -> Iterator[None]:
    """Let this process open at most this many files more than it has."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 1 + more, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def drafts_of(report: Report, directory: Path) -> dict[str, list[str]]:
    """The lines of each segment's draft."""
    return {
        draft.segment: (directory / DRAFTS / draft.file).read_text(encoding="utf-8").splitlines() if draft.file else []
        for draft in report.drafts
    }


def test_everything_written_is_the_owners_alone(tmp_path: Path) -> None:
    """Directories are 0700 and files 0600, whatever the process's umask (rule R2)."""
    source = a_source(tmp_path / "x.csv", [(person(0), "VIP")])
    before = os.umask(0)
    try:
        rewrite([source], PHONES, tmp_path / "rewrite")
    finally:
        os.umask(before)
    written = {str(path.relative_to(tmp_path)): path.stat().st_mode for path in (tmp_path / "rewrite").rglob("*")}
    assert {name: stat.S_IMODE(mode) for name, mode in written.items()} == {
        f"rewrite/{DRAFTS}": 0o700,
        f"rewrite/{DRAFTS}/1.csv": 0o600,
        f"rewrite/{REJECTS}": 0o600,
        f"rewrite/{REPORT}": 0o600,
    }
    assert stat.S_IMODE((tmp_path / "rewrite").stat().st_mode) == 0o700


def test_a_rewrite_never_mixes_with_an_earlier_one(tmp_path: Path) -> None:
    """A directory that holds a rewrite already is refused, and stays as it is."""
    rewrite([a_source(tmp_path / "x.csv", [(person(0), "VIP"), (person(1), "VIP+")])], PHONES, tmp_path / "rewrite")
    before = {path: path.read_bytes() for path in (tmp_path / "rewrite").rglob("*.*")}
    with pytest.raises(FileExistsError):
        rewrite([a_source(tmp_path / "y.csv", [(person(1), "VIP")])], PHONES, tmp_path / "rewrite")
    assert {path: path.read_bytes() for path in (tmp_path / "rewrite").rglob("*.*")} == before


def test_many_segments_need_few_descriptors(tmp_path: Path) -> None:
    """However many segments there are and however they alternate, only a handful of files is open at once."""
    segments = [f"segment {number}" for number in range(500)]
    source = a_source(tmp_path / "x.csv", [(somebody, name) for somebody in people(3) for name in segments])
    with few_descriptors(6):
        report = rewrite([source], PHONES, tmp_path / "rewrite")
    expected = [[f"{somebody.phone},{name}" for somebody in people(3)] for name in segments]
    assert list(drafts_of(report, tmp_path / "rewrite").values()) == expected


def test_segments_are_numbered_as_they_appear(tmp_path: Path) -> None:
    """The first segment that a row names is number 1, and a segment without rows left has a number and no file."""
    rows = [(person(0), "VIP"), (person(1), "Lapsed"), (person(2), "VIP")]
    source = a_source(tmp_path / "x.csv", rows)
    with source.path.open("a", encoding="utf-8") as file:
        file.write("n/a,Nobody\n")
    report = rewrite([source], PHONES, tmp_path / "rewrite")
    assert [(draft.ordinal, draft.segment, draft.file) for draft in report.drafts] == [
        (1, "VIP", "1.csv"),
        (2, "Lapsed", "2.csv"),
        (3, "Nobody", None),
    ]


def test_a_large_export_is_written_whole_and_in_order(tmp_path: Path) -> None:
    """More rows than are kept in memory arrive all the same, each once, in the order in which they came."""
    segments = [f"segment {number}" for number in range(11)]
    source = a_source(tmp_path / "x.csv", [(somebody, name) for somebody in people(4800) for name in segments])
    progress: list[Progress] = []
    report = rewrite([source], PHONES, tmp_path / "rewrite", progress=progress.append, at_once=1 << 18)
    for name, lines in drafts_of(report, tmp_path / "rewrite").items():
        assert lines == [f"{somebody.phone},{name}" for somebody in people(4800)]
    for draft in report.drafts:
        content = (tmp_path / "rewrite" / DRAFTS / f"{draft.ordinal}.csv").read_bytes()
        assert (draft.size, draft.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    told = [(it.rows, it.read) for it in progress]
    size = source.path.stat().st_size
    assert len(progress) > 4
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((0, 0), (52_800, size))
    assert len({read for _, read in told}) > 4
    assert all(it.size == size and it.recognised and it.recognised["columns"] == 2 for it in progress)
    assert report.totals.rows_out == 52_800


def test_the_report_says_the_same_on_disk(tmp_path: Path) -> None:
    """What is returned and what is written are one report; what is no report is refused."""
    report = rewrite([a_source(tmp_path / "x.csv", [(person(0), "VIP")])], PHONES, tmp_path / "rewrite")
    assert load_report((tmp_path / "rewrite" / REPORT).read_bytes()) == report
    with pytest.raises(ValueError, match="drafts"):
        load_report(b"{}")


def test_a_finished_reject_report_is_on_the_disk(tmp_path: Path) -> None:
    """Once the reject report is finished nothing of it is still on its way."""
    with RejectReport(tmp_path / "rejects.csv") as rejects:
        rejects.add("/uploads/x.csv", [Reject(7, "phone", Reason.LETTERS, "***")])
        rejects.finish()
        assert (tmp_path / "rejects.csv").read_bytes().endswith(b"\n/uploads/x.csv,7,phone,letters,***\n")


def test_only_the_first_lines_of_a_reason_are_noted(tmp_path: Path) -> None:
    """The report names the first five lines of each reason, the reject report all of them."""
    (tmp_path / "x.csv").write_text("phone,segment_name\n" + "n/a,VIP\n" * 8, encoding="utf-8")
    report = rewrite([SourceFile(tmp_path / "x.csv", "/uploads/x.csv")], PHONES, tmp_path / "rewrite")
    assert report.first_lines == {"letters": (2, 3, 4, 5, 6)}
    assert report.reasons == {"letters": 8}
    with (tmp_path / "rewrite" / REJECTS).open(encoding="utf-8", newline="") as file:
        assert [row["line"] for row in csv.DictReader(file)] == [str(line) for line in range(2, 10)]


def test_a_stranger_in_the_reject_report_cannot_break_it(tmp_path: Path) -> None:
    """Names with quotes, commas and line ends, of files, columns and segments, stay in their cells."""
    (tmp_path / "x.csv").write_text(
        'phone,"segment, ""the""\nname"\n2125550100,"VIP, ""gold""\n+"\n2125550101,VIP\n', encoding="utf-8"
    )
    rules = Rules.model_validate({"identifier": "phone", "segment": {"column": ['segment, "the"\nname']}})
    rewrite([SourceFile(tmp_path / "x.csv", '/uploads/a,"b"\n.csv')], rules, tmp_path / "rewrite")
    with (tmp_path / "rewrite" / REJECTS).open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {
                "file": '/uploads/a,"b"\\u000a.csv',
                "line": "3",
                "column": 'segment, "the"\\u000aname',
                "reason": "segment_characters",
                "masked": 'VIP, "gold"\\u000a+',
            }
        ]


def test_several_empty_files_are_told_from_headers(tmp_path: Path) -> None:
    """An export of which no file has a row is empty, or has a header only if one of them has."""
    for name, contents, reason in (("a", ["", ""], "empty"), ("b", ["phone,segment_name\n", ""], "header_only")):
        sources = []
        for number, content in enumerate(contents):
            path = tmp_path / f"{name}{number}.csv"
            path.write_text(content, encoding="utf-8")
            sources.append(SourceFile(path, f"/uploads/{path.name}"))
        with pytest.raises(UnusableSource) as raised:
            rewrite(sources, PHONES, tmp_path / name)
        assert raised.value.reason == reason
