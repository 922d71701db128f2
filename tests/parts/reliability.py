"""The matrix of reliability: what is tried against the promise, and the tests that do it, from pytest's own collection.

    PYTHONPATH=tests .venv/bin/python -m parts.reliability docs/reliability-tests.md

writes it. A row is a test that pytest would run; one that is new in one of these files is met by itself.
"""

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

GROUPS: Final = {
    "Death at any step": (
        "crash/test_kill_anywhere.py",
        "crash/test_killed_daemon.py",
        "crash/test_killed_while_gathering.py",
    ),
    "A power cut": ("crash/test_power_loss.py",),
    "Faults of the disk": ("faults/test_disk_faults.py",),
    "Faults of the upstream and of the wire": (
        "faults/test_upstream_faults.py",
        "faults/test_broken_wires.py",
        "faults/test_unanswered_requests.py",
        "faults/test_outbox_faults.py",
        "faults/test_split_lists.py",
        "integration/test_upstream.py",
        "integration/test_outbox.py",
        "integration/test_upstream_operations.py",
    ),
    "Foreign servers as upstream": ("integration/test_foreign_upstreams.py",),
    "Order and fairness": ("faults/test_outbox_fairness.py", "contract/test_store_order.py"),
    "A clock that is set": ("scenarios/test_clock_set_back.py", "integration/test_clock_set_back.py"),
    "Uploads that are cut off": ("integration/test_cut_off_uploads.py",),
    "Any sequence of events": ("property/test_store_machine.py", "property/test_intake_machine.py"),
    "Days in which everything goes wrong": ("soak/test_soak.py",),
}
"""What is tried, and the files below `tests/` whose tests try it."""


class Collected:
    """Takes note of what pytest collects: a plugin."""

    def __init__(self) -> None:
        self.says: dict[tuple[str, str], str] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note every test, in order."""
        for item in session.items:
            assert isinstance(item, pytest.Function)
            test = item.path.relative_to(ROOT / "tests").as_posix(), item.originalname
            self.says[test] = " ".join((item.function.__doc__ or "").split("\n\n")[0].split())


def document() -> str:
    """Return the document.

    Raises:
        RuntimeError: something cannot be collected.
    """
    collected = Collected()
    files = [str(ROOT / "tests" / file) for files in GROUPS.values() for file in files]
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123  no path
        how = [
            "--collect-only",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--rootdir={ROOT}",
            "-c",
            str(ROOT / "pyproject.toml"),
        ]
        if status := pytest.main([*how, *files], plugins=[collected]):
            raise RuntimeError(f"pytest collects nothing: {status}")
    return "\n".join(
        [
            "# What is tried against the promise, and by which test",
            "",
            "Written by `PYTHONPATH=tests .venv/bin/python -m parts.reliability docs/reliability-tests.md` from what",
            "pytest collects; a test fails when it is out of date. [reliability.md](reliability.md) says what is",
            "promised, and [upstream-faults.md](upstream-faults.md) which of these put up which fault of an upstream.",
            "CI runs them all and accepts none that is skipped for a missing install.",
            "",
            "| tried | test | says |",
            "|---|---|---|",
            *(
                f"| {'' if number else group} | `{file}::{name}` | {collected.says[file, name]} |"
                for group, files in GROUPS.items()
                for number, (file, name) in enumerate(it for it in collected.says if it[0] in files)
            ),
            "",
        ]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
