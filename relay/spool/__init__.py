"""Bytes on disk: where everything lies, and how it gets there durably.

Under the state directory, on one file system:

    landing/<account>/                    what the client sees; uploads/ is what it starts with
    incoming/<account>/                   uploads in progress
    exports/<route>/<export>/source/      the files of an export, 0001, 0002, …
    exports/<route>/<export>/drafts/      its rewritten lists, 1.csv, 2.csv, …, beside rejects.csv and report.json
    relay.db, relay.lock

Directories have mode 0700, files 0600, whatever the umask (rule R2). A link is never followed. A file is synced before
it gets its name and its directory afterwards, so that a kill at any point leaves the old state or the new one.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Final

from relay.model import Arrival, Delivery, RelayError
from relay.naming import draft_name, source_name
from relay.spool.cutting import cut
from relay.spool.disk import (
    hash_file,
    is_locked,
    keep_lock,
    keep_names,
    make_directory,
    mounts_below,
    open_lock,
    remove,
    sync,
)
from relay.spool.landed import (
    LandedFile,
    Look,
    UnreadableError,
    Unseen,
    VanishedError,
    concerning,
    copy,
    hash_taken,
    link,
    look_below,
    read,
    take_out_of_view,
)

__all__ = [
    "LandedFile",
    "Look",
    "Spool",
    "UnreadableError",
    "Unseen",
    "VanishedError",
    "cut",
    "hash_file",
    "hash_taken",
]

ABORTED_UPLOADS_KEPT: Final = timedelta(hours=24)
"""How long an upload that ended without being complete is kept (rule R3)."""

_REWRITTEN: Final = ("drafts", "rejects.csv", "report.json")
_WORK: Final = "rewrite-"
_LIFE: Final = token_hex(8).encode()
"""What tells this process from every other, also where each has the same number, as in a container."""
_PROBED: Final = 64 << 10
"""Bytes that there must be room for, before a disk counts as well again."""


class Spool:
    """The bytes under one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._exports = self.export_root = state_dir / "exports"
        self._incoming = self.incoming_zone = state_dir / "incoming"
        self.landing_zone = state_dir / "landing"
        self.database = state_dir / "relay.db"
        self._lock = state_dir / "relay.lock"

    def prepare(self, accounts: Iterable[str]) -> None:
        """Make every directory that is missing, with mode 0700.

        Raises:
            RelayError: something else is in the way, the file system refuses, or there are several file systems.
        """
        roots = (self.landing_zone, self._incoming, self._exports)
        # The service manager may make the state directory a link; nothing below it is one.
        for directory in (self._state_dir.resolve(), *roots):
            make_directory(directory)
        for account in accounts:
            for directory in (self.landing(account), self.landing(account) / "uploads", self.incoming(account)):
                make_directory(directory)
            keep_names(self.landing(account))
        for directory in (*roots, self._state_dir.resolve()):
            keep_names(directory)
        # A file gets from one of these to the other by a link or a rename, which cannot cross file systems.
        for mounted in mounts_below(self._state_dir.resolve()):
            raise RelayError(
                f"{mounted} is a file system of its own, apart from the rest of {self._state_dir}",
                hint="Put the whole of `state_dir` on one file system: mount nothing below it.",
            )

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Be the only daemon on this state directory until the block ends; say whether the one before was cut off.

        Raises:
            RelayError: another one is.
        """
        descriptor = open_lock(self._lock)
        try:
            # The file has content while a daemon runs, so one that finds another's follows one that had no end.
            before = os.pread(descriptor, len(_LIFE), 0)
            os.pwrite(descriptor, _LIFE, 0)
            try:
                yield before not in {b"", _LIFE}
            finally:
                with suppress(OSError):  # a disk that refuses is why the block ends
                    os.truncate(descriptor, 0)
        finally:
            os.close(descriptor)

    @contextmanager
    def kept_lock(self) -> Iterator[None]:
        """Keep other daemons out until the block ends, as far as that goes without writing."""
        descriptor = keep_lock(self._lock)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def mark_alive(self) -> None:
        """Leave on the lock that the daemon which holds it is alive now; a disk that refuses is told of elsewhere."""
        with suppress(OSError):
            os.utime(self._lock)

    def alive_at(self) -> datetime | None:
        """Return when the daemon last left word that it is alive; None where the disk takes no such word."""
        if os.statvfs(self._state_dir).f_flag & os.ST_RDONLY:
            return None
        return datetime.fromtimestamp(self._lock.stat().st_mtime, UTC)

    def free_bytes(self) -> int:
        """Return how many bytes may still be written under the state directory."""
        found = os.statvfs(self._state_dir)
        return found.f_bavail * found.f_frsize

    def check_writable(self) -> None:
        """See that a small file can be written durably.

        Raises:
            OSError: it cannot.
        """
        probe = self._state_dir / f"probe-{token_hex(8)}"
        try:
            descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(bytes(_PROBED))
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)

    def is_in_use(self) -> bool:
        """Say whether a daemon runs on this state directory."""
        return is_locked(self._lock)

    def landing(self, account: str) -> Path:
        """Return what an account sees as `/`."""
        return self.landing_zone / account

    def incoming(self, account: str) -> Path:
        """Return where an account's uploads grow until they are complete."""
        return self._incoming / account

    def export(self, route: str, export_id: str) -> Path:
        """Return the directory of an export."""
        return self._exports / route / export_id

    def source(self, route: str, export_id: str, name: str) -> Path:
        """Return one of an export's files as it landed; `naming.source_name` names them."""
        return self.export(route, export_id) / "source" / name

    def work(self, route: str, export_id: str, suffix: str) -> Path:
        """Return a directory for one attempt at rewriting an export. It is the attempt's to make."""
        return self.export(route, export_id) / f"{_WORK}{suffix}"

    def draft(self, delivery: Delivery) -> Path:
        """Return the rewritten list that a delivery sends."""
        return self.draft_of(delivery.route, delivery.export_id, delivery.ordinal)

    def draft_of(self, route: str, export_id: str, ordinal: int) -> Path:
        """Return the rewritten list of an export's segment, which may have no delivery yet."""
        return self.export(route, export_id) / "drafts" / draft_name(ordinal)

    def link_draft(self, source: Delivery, again: Delivery) -> None:
        """Give the delivery `again` the list of `source`, durably; the two share their bytes.

        Raises:
            RelayError: they are not kept any more.
        """
        draft = self.draft(again)
        draft.unlink(missing_ok=True)  # Of a restoration that a kill cut off before it was noted.
        try:
            draft.hardlink_to(self.draft(source))
        except FileNotFoundError:
            raise RelayError(
                f"the list of {source.id} is not kept any more",
                hint="Of each segment the last two lists sent are kept, others for a week. Have it exported again.",
            ) from None
        sync(draft.parent)

    def look(self, account: str) -> Look:
        """Look through an account's landing zone: regular files only, and no link is followed."""
        return look_below(self.landing(account))

    def take(self, arrival: Arrival, export_dir: Path, name: str) -> Path:
        """Put a landed file durably into an export's `source/` and return where it is then.

        What a client closed here is never written again, so a link is enough; of a file that was put there by other
        means nobody knows that, so its bytes are copied.

        Args:
            arrival: the file.
            export_dir: the directory of the export.
            name: what it is called there (`naming.source_name`), never what its client calls it.

        Raises:
            VanishedError: it is no longer the file that was noted; nothing was taken.
            UnreadableError: it cannot be read or linked; nothing was taken.
        """
        source = export_dir / "source"
        directories = (source, export_dir, export_dir.parent)
        for directory in reversed(directories):
            make_directory(directory)
        taken = source / name
        try:
            self._put(arrival, taken)
        except (VanishedError, UnreadableError):
            taken.unlink(missing_ok=True)
            for directory in directories:
                with suppress(OSError):  # It has other parts.
                    directory.rmdir()
            raise
        for it in (*directories, self._exports):
            sync(it)
        return taken

    def take_parts(self, arrivals: Sequence[Arrival], export_dir: Path) -> list[Path]:
        """Put several landed files durably into an export's `source/`, in place of what a kill left there.

        They are called as `naming.source_name` says, in the given order.

        Raises:
            VanishedError: one of them is no longer the file that was noted; nothing was taken.
            UnreadableError: one of them cannot be read or linked; nothing was taken.
        """
        source = export_dir / "source"
        remove(source)
        directories = (export_dir.parent, export_dir, source)
        for directory in directories:
            make_directory(directory)
        taken = [source / source_name(part) for part in range(1, len(arrivals) + 1)]
        try:
            for arrival, to in zip(arrivals, taken, strict=True):
                self._put(arrival, to)
        except (VanishedError, UnreadableError):
            remove(source)
            raise
        for it in (*reversed(directories), self._exports):
            sync(it)
        return taken

    def read_landed(self, arrival: Arrival, at_most: int) -> bytes:
        """Return the first bytes of a landed file.

        Raises:
            VanishedError: it is no longer the file that was noted.
            UnreadableError: it cannot be read.
        """
        return read(self.landing(arrival.account), arrival.path, arrival.fingerprint, at_most)

    def last_write(self, account: str) -> datetime | None:
        """Return when an upload of this account that is not complete last got bytes; None if there is none."""
        written: list[datetime] = []
        with suppress(FileNotFoundError), os.scandir(self.incoming(account)) as uploads:
            for upload in uploads:
                with suppress(FileNotFoundError):  # This one is complete by now, or given up; others may not be.
                    written.append(datetime.fromtimestamp(upload.stat().st_mtime, UTC))
        return max(written, default=None)

    def _put(self, arrival: Arrival, to: Path) -> None:
        put = link if arrival.confirmed else copy
        put(self.landing(arrival.account), arrival.path, arrival.fingerprint, to)
        with concerning(arrival.path):  # What may not even be opened is found here.
            sync(to)

    def adopt(self, work: Path) -> None:
        """Move what a rewrite made in `work` into its export's directory, in place of what an earlier one left."""
        export_dir = work.parent
        for name in _REWRITTEN:
            remove(export_dir / name)
        for made in (*work.rglob("*"), work):
            sync(made)
        for name in _REWRITTEN:
            (work / name).rename(export_dir / name)
        remove(work)
        sync(export_dir)

    def abandon(self, work: Path) -> None:
        """Remove what is left of an attempt at rewriting."""
        remove(work)

    def remove_abandoned(self, is_known: Callable[[str], bool]) -> None:
        """Remove what a kill left behind: sources of which custody was never noted, and half-made rewrites.

        Only the daemon may, before it begins: with the lock held, nobody works in these directories but a rewrite that
        has outlived the daemon that was killed. An export that was rewritten is left alone even where its id is not
        known: then it is the database that is the wrong one.
        """
        for export_dir in self._exports.glob("*/*"):
            if is_known(export_dir.name) or (export_dir / "report.json").exists():
                for work in export_dir.glob(f"{_WORK}*"):
                    # Under another name, so that whoever still writes there finds no directory for its next file.
                    remove(work.rename(work.with_name(f"{work.name}.left")))
            else:
                remove(export_dir)

    def accounts(self) -> list[str]:
        """Return every account that has a landing zone, also those that the configuration has lost."""
        return sorted(it.name for it in self.landing_zone.glob("*") if it.is_dir() and not it.is_symlink())

    def export_directories(self) -> Iterator[Path]:
        """Go through the directories of all exports that have one; each is called as its export."""
        yield from sorted(it for it in self._exports.glob("*/*") if it.is_dir() and not it.is_symlink())

    def export_files(self, directory: Path) -> list[tuple[Path, int]]:
        """Return the regular files of an export with their sizes, but for what somebody removes meanwhile."""
        try:
            files = look_below(directory).files
        except FileNotFoundError:
            return []
        return [(directory / file.path.lstrip("/"), file.size) for file in files]

    def remove_file(self, file: Path) -> bool:
        """Remove a file of an export, and the directories that are empty without it; say whether it was still there."""
        try:
            file.unlink()
        except FileNotFoundError:  # Another sweep was quicker.
            return False
        for directory in file.parents:
            if directory.parent in {self._exports, self._state_dir}:
                break
            try:
                directory.rmdir()
            except OSError:  # There is something else in it, or another sweep was quicker.
                break
        return True

    def aborted_uploads(self, now: datetime) -> list[LandedFile]:
        """Return the uploads that ended without being complete more than a day ago (rule R3)."""
        return [it for it in look_below(self._incoming).files if it.changed_at <= now - ABORTED_UPLOADS_KEPT]

    def sweep_incoming(self, now: datetime) -> list[LandedFile]:
        """Remove uploads that ended without being complete more than a day ago, and return them (rule R3)."""
        return [it for it in self.aborted_uploads(now) if self._removed_upload(it)]

    def _removed_upload(self, upload: LandedFile) -> bool:
        try:
            (self._incoming / upload.path.lstrip("/")).unlink()
        except FileNotFoundError:  # Another sweep was quicker.
            return False
        return True

    def remove_landed(self, account: str, file: LandedFile) -> bool:
        """Remove a landed file from its client's view, unless another one has its name by now; say whether it was.

        Raises:
            UnreadableError: it cannot be removed.
        """
        try:
            return take_out_of_view(self.landing(account), file, self.incoming(account) / f"removed-{token_hex(8)}")
        except VanishedError:
            return False
