"""The matrix of reliability is the one that pytest's collection makes."""

import os
import subprocess
import sys
from pathlib import Path

from parts.reliability import GROUPS, ROOT

DOCUMENT = ROOT / "docs" / "reliability-tests.md"


def test_the_matrix_lists_exactly_the_tests_that_there_are(tmp_path: Path) -> None:
    """In a process of its own, as pytest collects once in each.

    `PYTHONPATH=tests .venv/bin/python -m parts.reliability docs/reliability-tests.md` writes it.
    """
    written = tmp_path / "reliability-tests.md"
    command = [sys.executable, "-m", "parts.reliability", str(written)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert DOCUMENT.read_text(encoding="utf-8") == written.read_text(encoding="utf-8")


def test_every_test_of_deaths_and_faults_is_in_the_matrix() -> None:
    """No file of those that exist for it is left out."""
    listed = {it for files in GROUPS.values() for it in files}
    for directory in ("crash", "faults", "soak"):
        assert {
            it.relative_to(ROOT / "tests").as_posix() for it in (ROOT / "tests" / directory).glob("test_*.py")
        } <= listed
