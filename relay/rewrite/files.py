"""The files of an export, as the rewrite is given them and as they come out of what they were packed in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.naming import printable

DRAFTS: Final = "drafts"
REJECTS: Final = "rejects.csv"
REPORT: Final = "report.json"
"""What a rewrite leaves: a directory of lists, one for each segment, the reject report, and what was found."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of an export: where it is, and what its client called it.

    `member` is its name within the archive that it came in, as it may be shown; None where it came in none. `within`
    has the names as the archives themselves have them, the outermost's first: they are never shown, as they may be a
    person's.
    """

    path: Path
    name: str
    member: str | None = None
    within: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """What reports call it: `/uploads/x.zip: 0000001.csv`."""
        name = printable(self.name)
        return name if self.member is None else f"{name}: {self.member}"
