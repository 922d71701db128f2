"""`relay purge`: retention now, or what it would take."""

from datetime import UTC, datetime
from pathlib import Path

import click

from relay.cli.context import config_option
from relay.cli.figures import size
from relay.cli.state import changed_state, read_state
from relay.retention import Removal


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
    from relay.retention import foresee, sweep
    from relay.spool import Spool

    loaded, now = load(config, with_files=False), datetime.now(UTC)
    spool = Spool(loaded.state_dir)
    if dry_run:
        with read_state(loaded) as store:
            _print(foresee(loaded.retention, spool, store, now), "would be ", spool.export_root)
        return
    with changed_state(loaded) as store:
        spool.sweep_incoming(now)
        # An account that is new in the configuration has no landing zone before the service knows it.
        accounts = [account for account in loaded.accounts if spool.landing(account).is_dir()]
        clear_view(accounts, spool, store, now, unrouted_kept=loaded.retention.files)
        _print(sweep(loaded.retention, spool, store, now), "", spool.export_root)


def _print(removal: Removal, would_be: str, root: Path) -> None:
    for it in removal.discarded:
        click.echo(f"{it} {would_be or 'is '}discarded: it waited for a person for too long")
    for file, length in removal.files:
        click.echo(f"{file.relative_to(root)} {would_be or 'is '}removed, {size(length)}")
    click.echo(
        f"{len(removal.files):,} files ({size(removal.size)}) and the history of {removal.exports:,} exports "
        f"{would_be or 'are '}removed."
    )
