"""Golden cases: a directory each, with source files, a route's rules, and everything that must come of them.

`route.toml` begins with a comment that says what the case is about. `source/` has the files in the order of their
names. `expected/` has either the drafts, `rejects.csv` and `counts.toml` (counts of nought left out), or
`unusable.toml`.
"""

import hashlib
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from relay.model import Report, SegmentCounts
from relay.rewrite.engine import rewrite
from relay.rewrite.files import DRAFTS, REJECTS, REPORT, SourceFile
from relay.rewrite.report import load_report
from relay.rewrite.rules import Rules
from relay.rewrite.unusable import UnusableSource

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/route.toml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Path, tmp_path: Path) -> None:
    """The rewrite makes of a case's source exactly what is expected of it, byte for byte."""
    rules = Rules.model_validate(tomllib.loads((case / "route.toml").read_text(encoding="utf-8")))
    sources = [SourceFile(path, f"/uploads/{path.name}") for path in sorted((case / "source").iterdir())]
    unusable = case / "expected" / "unusable.toml"
    if unusable.exists():
        with pytest.raises(UnusableSource) as raised:
            rewrite(sources, rules, tmp_path / "rewrite")
        said = {"reason": raised.value.reason, "detail": raised.value.detail, "hint": raised.value.hint}
        assert said == tomllib.loads(unusable.read_text(encoding="utf-8"))
        return
    report = rewrite(sources, rules, tmp_path / "rewrite")
    assert _found(report) == tomllib.loads((case / "expected" / "counts.toml").read_text(encoding="utf-8"))
    assert list(_found(report)["segments"]) == [draft.segment for draft in report.drafts]
    assert _files(tmp_path / "rewrite") == _files(case / "expected")
    assert load_report((tmp_path / "rewrite" / REPORT).read_bytes()) == report
    for draft in report.drafts:
        content = (tmp_path / "rewrite" / DRAFTS / draft.file).read_bytes() if draft.file else b""
        assert (draft.size, draft.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_every_case_says_what_it_is_about() -> None:
    """There are cases, and each begins with a sentence."""
    assert len(CASES) > 40
    assert all((case / "route.toml").read_text(encoding="utf-8").startswith("# ") for case in CASES)


def _files(directory: Path) -> dict[str, bytes]:
    """The drafts and the reject report below a directory."""
    drafts = {path.name: path.read_bytes() for path in (directory / DRAFTS).glob("*.csv")}
    return {**drafts, REJECTS: (directory / REJECTS).read_bytes()}


def _found(report: Report) -> dict[str, Any]:
    """What a report says, as `counts.toml` has it."""
    return {
        "recognised": report.recognised,
        "refused_segments": report.refused_segments,
        "first_lines": {reason: list(lines) for reason, lines in report.first_lines.items()},
        "unattributed": _counts(report.unattributed),
        "segments": {draft.segment: _counts(draft.counts) for draft in report.drafts},
    }


def _counts(counts: SegmentCounts) -> dict[str, int]:
    return {name: count for name, count in asdict(counts).items() if count}
