"""The report: one HTML file about the last 90 days, for people who would rather look.

It needs no server, no network and no script, and holds counts, names and dates, never an identifier (rule R1).
"""

from datetime import datetime
from pathlib import Path

from relay.config import Config
from relay.report.page import render
from relay.report.story import tell
from relay.store import Store

__all__ = ["report", "write_report"]


def report(config: Config, store: Store, now: datetime) -> str:
    """Return the report as HTML."""
    return render(tell(config, store, now))


def write_report(config: Config, store: Store, file: Path, now: datetime) -> None:
    """Write the report into `file`, in place of an older one and as a whole; readable by its owner only (rule R2).

    Raises:
        OSError: it cannot be written.
    """
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(0o600)
    beside.write_text(report(config, store, now), encoding="utf-8")
    beside.replace(file)
