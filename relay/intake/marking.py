"""Landed end markers and the exports that they mark: those that wait, those that are there already, or none."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

from relay.config import Config, RouteSettings
from relay.config.route import SourceSettings
from relay.intake.gather import Ground
from relay.intake.markers import Group, Mark, Role, key_of_marker, role_of
from relay.model import Arrival, ArrivalState
from relay.settings import format_duration
from relay.store import Store

_PATIENCE_WITHOUT_ROUTE: Final = SourceSettings().wait


class Marking:
    """Tells which markers mark which of the exports that wait, and gives each marker to the last of its exports."""

    def __init__(self, grounds: Iterable[Ground], markers: Sequence[Arrival]) -> None:
        self._grounds = {ground.group: ground for ground in grounds}
        self._marked_as_whole: defaultdict[str, list[Group]] = defaultdict(list)
        self._directories: defaultdict[str, list[Group]] = defaultdict(list)
        for group in self._grounds:
            for key in set(group.marks()):
                self._marked_as_whole[key].append(group)
            if group.is_directory:
                self._directories[group.directory.casefold()].append(group)
        self._unclaimed: dict[int, int] = {}
        self._strays = [marker for marker in markers if not self._place(marker)]

    def claimed_with(self, group: Group) -> list[Arrival]:
        """Return the markers that are claimed when this export is taken: those that mark no other one that waits."""
        ground = self._grounds[group]
        markers = [*(end for end, _ in ground.ends), *ground.beside]
        return [marker for marker in markers if self._unclaimed[marker.id] == 1]

    def taken(self, group: Group) -> None:
        """Note that this export was taken."""
        ground = self._grounds[group]
        for marker in (*(end for end, _ in ground.ends), *ground.beside):
            self._unclaimed[marker.id] -= 1

    def strays(self) -> Sequence[Arrival]:
        """Return the markers that mark nothing that waits."""
        return self._strays

    def _place(self, marker: Arrival) -> int:
        """Put a marker to every export that it marks, and return how many there are."""
        groups, mark = self._marked_as_whole.get(key_of_marker(marker.path), []), Mark.WHOLE
        is_end = role_of(marker.path) is Role.END
        if not groups and is_end:
            groups, mark = self._directories.get(_directory(marker), []), Mark.VAGUE
        for group in groups:
            if is_end:
                self._grounds[group].ends.append((marker, mark))
            else:
                self._grounds[group].beside.append(marker)
        self._unclaimed[marker.id] = len(groups)
        return len(groups)


class Strays:
    """Sees to markers that mark nothing that waits: late ones, early ones, and those of nothing (rule C3)."""

    def __init__(
        self, config: Config, store: Store, known: Collection[Arrival], *, now: Callable[[], datetime]
    ) -> None:
        self._config = config
        self._store = store
        self._known = known
        self._now = now
        self._owners: dict[str, Arrival] | None = None

    def see_to(self, marker: Arrival) -> datetime | None:
        """Give a marker to the export that it marks, or to none; return when to look at it again if it is too early."""
        if (settled_at := marker.landed_at + self._config.landing.settle) > self._now():
            return settled_at
        route = self._route(marker)
        owner = self._owner(marker, route)
        if owner is not None and owner.export_id is not None and (route is None or route.source.complete != "done"):
            self._store.attach(marker, owner.export_id, self._now())
            return None
        # The file that it marks may come after it: the marker of the next run, if there was one before.
        wait = _PATIENCE_WITHOUT_ROUTE if route is None else route.source.wait
        if marker.landed_at + wait > self._now():
            return marker.landed_at + wait
        if owner is not None and owner.export_id is not None:
            self._store.attach(marker, owner.export_id, self._now())
        else:
            hint = f"it holds no list, so nothing is lost; no file that it marks came within {format_duration(wait)}"
            self._store.ignore(marker.id, hint, self._now())
        return None

    def _owner(self, marker: Arrival, route: RouteSettings | None) -> Arrival | None:
        """Return the newest claimed file that a marker marks, by the file's own name or its directory's."""
        if self._owners is None:
            self._owners = _owners(self._known)
        owner = self._owners.get(key_of_marker(marker.path))
        if owner is None and route is not None and route.source.group == "directory":
            return self._owners.get(f"{_directory(marker)}/")
        return owner

    def _route(self, marker: Arrival) -> RouteSettings | None:
        """Return the route of what a marker may mark: patterns of file names need not match those of markers."""
        directory, _, name = marker.path.rpartition("/")
        marked = f"{directory}/{name[: -len('.done')]}"
        paths = (marker.path, marked, f"{marked}.csv", f"{marked}/0000001.csv", f"{directory}/0000001.csv")
        return next(filter(None, (self._config.route_for(marker.account, path) for path in paths)), None)


def _owners(known: Collection[Arrival]) -> dict[str, Arrival]:
    """Return, by the key of every marker that would mark it, the newest claimed file."""
    claimed = (it for it in known if it.state is ArrivalState.CLAIMED and it.part is not None)
    owners: dict[str, Arrival] = {}
    for arrival in sorted(claimed, key=lambda it: it.id):
        directory = f"{arrival.path.rpartition('/')[0]}/"
        for group in (Group("", directory), Group("", arrival.path)):
            owners |= dict.fromkeys(group.marks(), arrival)
    return owners


def _directory(marker: Arrival) -> str:
    return marker.path.rpartition("/")[0].casefold()
