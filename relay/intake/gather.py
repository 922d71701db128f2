"""Several files, one export: begun with the first, taken when it is whole, quarantined when it is given up.

Files wait in the landing zone, where their client may still replace, rename or remove them; only the export's row, and
with it its id, is there before it is taken (rule C2). So whatever a kill interrupts, the next scan sees the same files.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Final

from relay import naming
from relay.config import Config, RouteSettings
from relay.intake.completion import Gathered, Patience, Prospect, prospect
from relay.intake.markers import LONGEST_LIST, Group, Mark, is_spark_success, listed_parts, lists_parts
from relay.lifecycle import IllegalTransitionError
from relay.model import Arrival, Export, NewExport
from relay.settings import format_duration
from relay.spool import Spool, UnreadableError, VanishedError, hash_taken
from relay.store import Store

_FILES_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Ground:
    """What a scan found for one export: its files, and the markers that mark it or lie beside it."""

    group: Group
    parts: list[Arrival] = field(default_factory=list)
    ends: list[tuple[Arrival, Mark]] = field(default_factory=list)
    beside: list[Arrival] = field(default_factory=list)


class Gatherer:
    """Begins, watches and takes exports that wait for files."""

    def __init__(self, spool: Spool, store: Store, config: Config, *, now: Callable[[], datetime]) -> None:
        self._spool = spool
        self._store = store
        self._config = config
        self._now = now

    def look(
        self,
        ground: Ground,
        export: Export | None,
        *,
        earlier: Iterable[Arrival],
        busy_at: datetime | None,
        markers: Sequence[Arrival],
    ) -> str | datetime | None:
        """See how an export stands, and take it if its time has come.

        Args:
            ground: what there is of it.
            export: its row, None if there is none yet.
            earlier: arrivals that their clients replaced, renamed or removed.
            busy_at: when something that may become one of its files was last written to.
            markers: the markers that it claims when it is taken.

        Returns:
            Its id if it was taken, else when to look at it again; None where it changed meanwhile.

        Raises:
            UnreadableError: one of its files cannot be read, and so nothing was taken.
        """
        route = self._config.routes[ground.group.route]
        if export is None:
            settled_at = min(part.landed_at for part in ground.parts) + self._config.landing.settle
            if settled_at > self._now():
                return settled_at
            export = self._begin(ground)
        sent_anew = {it.path for it in earlier if it.export_id == export.id}
        it = self._prospect(ground, route, sent_anew, busy_at)
        if it.due_at > self._now() and not export.as_whole:
            self._note(export, ground, it)
            return it.due_at
        return self._take(export, ground, markers, None if export.as_whole else _why(ground, it, route))

    def _begin(self, ground: Ground) -> Export:
        first = min(ground.parts, key=lambda part: (part.landed_at, part.id))
        export_id = naming.export_id(ground.group.route, first.landed_at, token_hex(3))
        new = NewExport(export_id, ground.group.route, 0, None, first.account, ground.group.path)
        return self._store.gather(new, self._now())

    def _prospect(
        self,
        ground: Ground,
        route: RouteSettings,
        sent_anew: Collection[str],
        busy_at: datetime | None,
    ) -> Prospect:
        source = route.source
        markers = [*(end for end, _ in ground.ends), *ground.beside]
        gathered = Gathered(
            parts=ground.parts,
            ends=ground.ends,
            sent_anew=sent_anew,
            listed=listed_parts(self._lists(ground.beside)),
            written_by_spark=any(is_spark_success(it.path) for it in markers),
            busy_at=busy_at,
        )
        patience = Patience(source.complete, source.gaps, self._config.landing.settle, source.quiet, source.wait)
        return prospect(gathered, patience, is_directory=ground.group.is_directory)

    def _lists(self, beside: Iterable[Arrival]) -> Iterator[bytes]:
        """Yield what the lists of Spark's committer say; of one that its client just replaced, nothing."""
        for arrival in beside:
            if lists_parts(arrival.path):
                with suppress(VanishedError):
                    yield self._spool.read_landed(arrival, LONGEST_LIST)

    def _note(self, export: Export, ground: Ground, it: Prospect) -> None:
        new = [part for part in ground.parts if part.export_id != export.id]
        detail = naming.printable("; ".join((_described(ground), *it.lacks)))
        if new or (detail, it.due_at) != (export.detail, export.waits_until):
            with suppress(IllegalTransitionError):  # A person discarded it at this moment.
                self._store.gathered(export.id, new, detail=detail, waits_until=it.due_at, now=self._now())

    def _take(
        self, export: Export, ground: Ground, markers: Sequence[Arrival], lacks: tuple[str, str] | None
    ) -> str | None:
        parts = sorted(ground.parts, key=lambda part: naming.natural_order(part.path))
        directory = self._spool.export(export.route, export.id)
        try:
            taken = self._spool.take_parts(parts, directory)
            source_sha256 = _hash_of_all(parts, taken)
        except VanishedError:
            return None  # Replaced since the files were listed: the next scan sees what is there instead.
        except UnreadableError:
            self._spool.abandon(directory)
            raise
        try:
            self._store.complete(
                export.id,
                parts,
                markers,
                source_bytes=sum(path.stat().st_size for path in taken),
                source_sha256=source_sha256,
                now=self._now(),
                lacks=lacks,
            )
        except IllegalTransitionError:
            # A person discarded it at this moment; with it went its files.
            self._spool.abandon(directory)
            return None
        return export.id


def _hash_of_all(parts: Sequence[Arrival], files: Sequence[Path]) -> str:
    """Return the hash of one file, or that of the hashes of several, a line each."""
    hashes = [hash_taken(part.path, file) for part, file in zip(parts, files, strict=True)]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(f"{it}\n" for it in hashes).encode()).hexdigest()


def _described(ground: Ground) -> str:
    names = [
        part.path.rpartition("/")[2] for part in sorted(ground.parts, key=lambda it: naming.natural_order(it.path))
    ]
    shown = ", ".join(names[:_FILES_NAMED])
    more = f" and {len(names) - _FILES_NAMED:,} more" if len(names) > _FILES_NAMED else ""
    return f"{len(names):,} file{'' if len(names) == 1 else 's'} so far: {shown}{more}"


def _why(ground: Ground, it: Prospect, route: RouteSettings) -> tuple[str, str] | None:
    """Return why an export is given up, and what to do; None if it is whole."""
    if not it.lacks:
        return None
    waited = f"nothing more came for {format_duration(route.source.wait)}"
    hint = (
        "Have the export sent again as a whole, which makes a new export. If the files that are there are all of it, "
        "`relay requeue --as-whole` takes them; `relay discard` gives them up."
    )
    if route.source.complete == "done" and not ground.ends:
        hint += ' If no .DONE file is sent with this route\'s exports, set source.complete = "quiet".'
    elif route.source.gaps == "quarantine":
        hint += ' If files of this route are numbered with gaps or empty as a rule, set source.gaps = "accept".'
    detail = "; ".join((_described(ground).replace(" so far", ""), *it.lacks, waited))
    return naming.printable(detail), hint
