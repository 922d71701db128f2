"""`relay purge`: retention now, or what it would take."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.context import config_option
from relay.cli.figures import size
from relay.cli.state import changed_state, read_state
from relay.cli.tables import as_text
from relay.retention import Removal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.config import Config
    from relay.spool import Spool
    from relay.store import Store


@click.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
def purge(config: Path, *, dry_run: bool) -> None:
    """Remove what was kept for long enough, as the service does by itself every hour.

    \b
    Example:
      relay purge --dry-run
      relay purge

    What waits, and the last two lists sent of each segment, are never touched. A removed file's bytes may still be on
    the disk: keep the state directory on an encrypted volume where that matters.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load
    from relay.intake.clear import clear_view
    from relay.intake.obstacles import Obstacle, Obstacles
    from relay.retention import foresee, sweep
    from relay.spool import Spool

    def complain(it: Obstacle) -> None:
        click.echo(f"{it.path} of account {it.account} cannot be removed: {it.reason}; {it.hint}", err=True)

    loaded, now = load(config, with_files=False), datetime.now(UTC)
    spool = Spool(loaded.state_dir)
    if dry_run:
        with read_state(loaded) as store:
            landed = _landed(loaded, spool, store, now)
            _print(foresee(loaded.retention, spool, store, now), landed, "would be ", spool.export_root)
        return
    with changed_state(loaded) as store:
        landed = _landed(loaded, spool, store, now)
        spool.sweep_incoming(now)
        obstacles = Obstacles(spool, now=lambda: now, say=complain)
        clear_view(spool, store, now, unrouted_kept=loaded.retention.files, obstacles=obstacles)
        _print(sweep(loaded.retention, spool, store, now), landed, "", spool.export_root)


def _landed(loaded: "Config", spool: "Spool", store: "Store", now: datetime) -> "list[tuple[str, int]]":
    """Return what goes of what clients sent: uploads that ended half-way, and files that leave their clients' view."""
    from relay.intake.clear import leaving_view

    aborted = [(f"incoming{it.path}", it.size) for it in spool.aborted_uploads(now)]
    kept = loaded.retention.files
    return aborted + [
        (f"landing/{account}{it.path}", it.size)
        for account in spool.accounts()
        for it in leaving_view(account, spool, store, now, unrouted_kept=kept)
    ]


def _print(removal: Removal, landed: "Sequence[tuple[str, int]]", would_be: str, root: Path) -> None:
    for it in removal.discarded:
        click.echo(f"{it} {would_be or 'is '}discarded: it waited for a person for too long")
    for name, length in landed:
        click.echo(f"{as_text(name)} {would_be or 'is '}removed, {size(length)}")
    for file, length in removal.files:
        click.echo(f"{file.relative_to(root)} {would_be or 'is '}removed, {size(length)}")
    total = removal.size + sum(length for _, length in landed)
    click.echo(
        f"{len(landed) + len(removal.files):,} files ({size(total)}) and the history of {removal.exports:,} exports "
        f"{would_be or 'are '}removed."
    )
