"""Retention: what was kept for long enough goes, and nothing that anybody still needs (rules R4 to R6).

What is to go is found out first and can be shown (`relay purge --dry-run`); then it is removed, bytes after the row
that explains why they may go. Whatever a kill leaves is found again by the next sweep.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from relay.config import RetentionSettings
from relay.spool import Spool
from relay.store import Store


@dataclass(frozen=True, slots=True)
class Removal:
    """What retention takes: who waited for too long, files with their sizes, and how much history."""

    discarded: tuple[str, ...]
    files: tuple[tuple[Path, int], ...]
    exports: int

    @property
    def size(self) -> int:
        """Bytes of all files. Lists that were restored share theirs, so the disk may gain less."""
        return sum(size for _, size in self.files)

    def __bool__(self) -> bool:
        return bool(self.discarded or self.files or self.exports)


def foresee(settings: RetentionSettings, spool: Spool, store: Store, now: datetime) -> Removal:
    """Return what a sweep would remove at `now`, but for the bytes of what it would discard."""
    return Removal(
        discarded=tuple(store.waiting_since_before(now - settings.held)),
        files=tuple(_expired_files(settings, spool, store, now)),
        exports=store.forgettable(now - settings.history),
    )


def sweep(settings: RetentionSettings, spool: Spool, store: Store, now: datetime) -> Removal:
    """Remove what was kept for long enough, and return it; safe to be run twice at once, and to be cut off anywhere."""
    discarded = tuple(store.discard_expired(now - settings.held, now))
    files: list[tuple[Path, int]] = []
    for directory in spool.export_directories():
        if _expired_of(directory, settings, spool, store, now):
            # Looked at again when nobody changes anything: a list that is restored at this moment is on disk before
            # its row is there.
            with store.unchanging():
                expired = _expired_of(directory, settings, spool, store, now)
                files += [(file, size) for file, size in expired if spool.remove_file(file)]
    return Removal(discarded, tuple(files), store.forget(now - settings.history, now))


def _expired_files(
    settings: RetentionSettings, spool: Spool, store: Store, now: datetime
) -> Iterator[tuple[Path, int]]:
    for directory in spool.export_directories():
        yield from _expired_of(directory, settings, spool, store, now)


def _expired_of(
    directory: Path, settings: RetentionSettings, spool: Spool, store: Store, now: datetime
) -> list[tuple[Path, int]]:
    """Return the files of an export that may go: if it is finished, and never a list that is kept (rule R4)."""
    export = store.export(directory.name)
    if export is None or not store.is_finished(export.id):
        return []
    age = now - export.received_at
    old = [
        (file, size)
        for file, size in spool.export_files(directory)
        if age >= (settings.files if file.parent != directory else settings.rejects)
    ]
    if not old:
        return []
    kept = store.kept_lists()
    stays = {spool.draft(it) for it in store.deliveries(export_id=export.id) if it.id in kept}
    return [(file, size) for file, size in old if file not in stays]
