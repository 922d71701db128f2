"""`relay exports`: what Amperity delivered."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from relay.cli.context import config_option
from relay.cli.documents import export_document
from relay.cli.figures import moment
from relay.cli.filters import narrowed, refuse_unknown
from relay.cli.listing import ListedRow, print_listing
from relay.cli.pasting import decisions_due
from relay.cli.state import read_state
from relay.cli.tables import as_text, print_json
from relay.model import Export, ExportState


@click.command()
@config_option
@narrowed(ExportState)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def exports(
    config: Path, route: str | None, state: ExportState | None, since: datetime | None, limit: int, *, as_json: bool
) -> None:
    """List exports, the newest first.

    \b
    Example:
      relay exports --since 7d
      relay exports --route sirendenim --state quarantined

    An export is one logical list from Amperity. Each of its segments is a delivery: see `relay deliveries`.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load

    loaded = load(config, with_files=False)
    with read_state(loaded) as store:
        refuse_unknown(route, loaded, store)
        found = store.exports(route=route, state=state, since=since, limit=limit)
    if as_json:
        print_json([export_document(export) for export in found])
    elif not found:
        click.echo("no exports")
    else:
        print_exports(found, config)


def print_exports(found: Sequence[Export], config: Path, *, indent: int = 0) -> None:
    """Print a table of exports; under each, why it is where it is, and the decisions due."""
    print_listing(
        ["export", "state", "received (UTC)", "rows", "rejected", "segments"],
        [_listed(export, config) for export in found],
        right=["rows", "rejected", "segments"],
        indent=indent,
    )


def _listed(export: Export, config: Path) -> ListedRow:
    report = export.report
    rows, rejected, segments = (
        (None, None, None) if report is None else (report.totals.rows_in, report.totals.rejected, len(report.drafts))
    )
    cells = (export.id, export.state, moment(export.received_at), rows, rejected, segments)
    return ListedRow(cells, remarks=export_remarks(export), commands=decisions_due(export, config))


def export_remarks(export: Export) -> list[str]:
    """Say why an export is where it is, and what to do about it; nothing where it is simply accepted."""
    if export.state is ExportState.DUPLICATED:
        return [f"the same bytes as {export.original_id}, accepted for {export.list_date}"]
    if export.state is ExportState.GATHERING:
        return gathering_remarks(export)
    why = ": ".join(filter(None, (export.reason, export.detail)))
    return [words for words in (why, export.hint) if words]


def gathering_remarks(export: Export) -> list[str]:
    """Say what an export that waits for files has and lacks, and until when it waits."""
    what = f"{as_text(export.path)}: {as_text(export.detail or 'its files are being looked at')}"
    if export.as_whole or export.waits_until is None:
        return [what]
    until = f"if nothing more comes, this is decided at {moment(export.waits_until)} UTC: what lacks nothing is taken"
    return [what, f"{until}, anything else quarantined as incomplete"]
