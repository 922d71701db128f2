"""`relay purge`: retention now, or what it would take."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.context import config_option
from relay.cli.documents import Document
from relay.cli.figures import counted, size
from relay.cli.state import changed_state, read_state
from relay.cli.tables import as_text, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay.config import Config
    from relay.intake.obstacles import Obstacle
    from relay.retention import Removal
    from relay.spool import LandedFile, Spool
    from relay.store import Store


@click.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
def purge(ctx: click.Context, config: Path, *, dry_run: bool, as_json: bool) -> None:
    """Remove what was kept for long enough, as the service does by itself every hour.

    \b
    Example:
      relay purge --dry-run
      relay purge

    What waits, and the last two lists sent of each segment, are never touched. A removed file's bytes may still be on
    the disk: keep the state directory on an encrypted volume where that matters. Exit status 1 if something could not
    be removed.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load
    from relay.spool import Spool

    loaded, now = load(config, with_files=False), datetime.now(UTC)
    spool = Spool(loaded.state_dir)
    tally = Tally("would be" if dry_run else "was", spool.export_root, as_json=as_json)
    if dry_run:
        with read_state(loaded) as store:
            _foresee(loaded, spool, store, now, tally)
    else:
        with changed_state(loaded) as store:
            _remove(loaded, spool, store, now, tally)
    tally.close()
    ctx.exit(1 if tally.in_the_way else 0)


def _foresee(loaded: "Config", spool: "Spool", store: "Store", now: datetime, going: "Tally") -> None:
    """Say what would go."""
    from relay.intake.clear import leaving_view
    from relay.retention import foresee

    going.add_aborted(spool.aborted_uploads(now))
    for account in spool.accounts():
        found = leaving_view(account, spool, store, now, unrouted_kept=loaded.retention.files)
        going.add_landed([(account, file) for file in found])
    going.add(foresee(loaded.retention, spool, store, now))


def _remove(loaded: "Config", spool: "Spool", store: "Store", now: datetime, gone: "Tally") -> None:
    """Remove it, and say what is gone and what was in the way."""
    from relay.intake.clear import clear_view
    from relay.intake.obstacles import Obstacles
    from relay.retention import sweep

    obstacles = Obstacles(spool, now=lambda: now, say=gone.in_the_way.append)
    gone.add_aborted(spool.sweep_incoming(now))
    gone.add_landed(clear_view(spool, store, now, unrouted_kept=loaded.retention.files, obstacles=obstacles))
    gone.add(sweep(loaded.retention, spool, store, now))


class Tally:
    """What goes or is gone, said piece by piece, and in all at the end; as JSON, all of it at the end."""

    def __init__(self, was: str, export_root: Path, *, as_json: bool) -> None:
        self.in_the_way: list[Obstacle] = []
        self._was = was
        self._export_root = export_root
        self._as_json = as_json
        self._discarded: list[str] = []
        self._files: list[tuple[str, int]] = []
        self._exports = 0

    def add_aborted(self, uploads: "Iterable[LandedFile]") -> None:
        """Name uploads that ended half-way."""
        for it in uploads:
            self._add_file(f"incoming{it.path}", it.size)

    def add_landed(self, files: "Iterable[tuple[str, LandedFile]]") -> None:
        """Name files that leave their client's view, each with its account."""
        for account, it in files:
            self._add_file(f"landing/{account}{it.path}", it.size)

    def add(self, removal: "Removal") -> None:
        """Name what waited for too long, and files of exports; count the history."""
        for waited in removal.discarded:
            self._discarded.append(waited)
            self._say(f"{waited} {self._was} discarded: it waited for a person for too long")
        for file, length in removal.files:
            self._add_file(str(file.relative_to(self._export_root)), length)
        self._exports += removal.exports

    def close(self) -> None:
        """Say how much it is in all, and what was in the way."""
        if self._as_json:
            print_json(self._document())
            return
        files, exports = counted(len(self._files), "file"), counted(self._exports, "export")
        be = self._was if self._was == "would be" else "were"
        click.echo(f"{files} ({size(self._bytes)}) and the history of {exports} {be} removed.")
        for it in self.in_the_way:
            said = f"{it.path} of account {it.account} cannot be removed: {it.reason}; {it.hint}"
            click.echo(as_text(said), err=True)

    @property
    def _bytes(self) -> int:
        return sum(length for _, length in self._files)

    def _document(self) -> Document:
        return {
            "dry_run": self._was == "would be",
            "discarded": self._discarded,
            "files": [{"file": name, "bytes": length} for name, length in self._files],
            "bytes": self._bytes,
            "exports": self._exports,
            "in_the_way": [asdict(it) for it in self.in_the_way],
        }

    def _add_file(self, name: str, length: int) -> None:
        self._say(f"{as_text(name)} {self._was} removed, {size(length)}")
        self._files.append((name, length))

    def _say(self, text: str) -> None:
        if not self._as_json:
            click.echo(text)
