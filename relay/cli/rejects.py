"""The rejected rows of an export, by reason."""

from relay.cli.documents import Document
from relay.cli.listing import ListedRow, print_heading, print_listing
from relay.model import Report


def rejects_document(report: Report) -> list[Document]:
    """Return how many rows each reason rejected, and the first lines of them."""
    return [
        {"reason": reason, "rows": rows, "first_lines": report.first_lines.get(reason, ())}
        for reason, rows in _by_frequency(report)
    ]


def print_rejects(report: Report) -> None:
    """Print them as a table, under a heading; nothing where no row was rejected."""
    if not report.reasons:
        return
    print_heading("Rejected rows")
    print_listing(
        ["rows", "reason", "first lines"],
        [
            ListedRow((rows, reason, ", ".join(map(str, report.first_lines.get(reason, ())))))
            for reason, rows in _by_frequency(report)
        ],
        right=["rows"],
        indent=2,
    )


def _by_frequency(report: Report) -> list[tuple[str, int]]:
    return sorted(report.reasons.items(), key=lambda found: (-found[1], found[0]))
