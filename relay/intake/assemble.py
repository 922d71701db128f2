"""From landed files to exports: the scan of the landing zone, which is the truth that hints only hurry.

A scan compares what lies in the landing zone with the arrivals noted so far and settles every difference. It can start
from disk and database alone, so a kill at any instant costs time only.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from secrets import token_hex
from typing import Final

from relay import naming
from relay.config import Config, RouteSettings
from relay.intake.gather import Gatherer, Ground
from relay.intake.markers import Group, Role, role_of
from relay.intake.marking import Marking, Strays
from relay.intake.obstacles import Obstacles
from relay.lifecycle import FIRST_RETRY, IllegalTransitionError
from relay.model import Arrival, ArrivalState, Export, Landing, NewExport
from relay.spool import LandedFile, Spool, UnreadableError, VanishedError, hash_taken
from relay.store import Store

_QUIET_WITHOUT_ROUTE: Final = timedelta(seconds=60)
_PATHS_REMEMBERED: Final = 1 << 17

_RouteFor = Callable[[str, str], RouteSettings | None]


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan did: the exports it received, and when the next file is due to be looked at again."""

    received: tuple[str, ...]
    look_again_at: datetime | None


class Assembler:
    """Turns landed files into exports. `received` is called after each, in the thread of the scan."""

    def __init__(
        self,
        config: Config,
        spool: Spool,
        store: Store,
        *,
        now: Callable[[], datetime],
        received: Callable[[], None] = lambda: None,
    ) -> None:
        self._spool = spool
        self._store = store
        self._now = now
        self._received = received
        self._obstacles = Obstacles(spool, now=now)
        self.reload(config)

    def reload(self, config: Config) -> None:
        """Use `config` from the next scan on."""
        # Files wait and are looked at again and again, thousands of them with a directory's export.
        self._settings = config, lru_cache(maxsize=_PATHS_REMEMBERED)(config.route_for)

    def scan(self) -> Scan:
        """Look through every account's landing zone once. Blocks: call it in a thread."""
        due: list[datetime] = []
        config, route_for = self._settings
        received: list[str] = []
        # What lies in the zone of an account that the configuration has lost is nobody's: that must be said, too.
        for account in dict.fromkeys((*config.accounts, *self._spool.accounts())):
            scan = _AccountScan(account, config, route_for, self._spool, self._store, self._obstacles, self._now, due)
            for export_id in scan.run():
                received.append(export_id)
                self._received()
        return Scan(tuple(received), min(due, default=None))


class _AccountScan:
    """One look through one account's landing zone; `due` gets the instants at which to look again."""

    def __init__(
        self,
        account: str,
        config: Config,
        route_for: _RouteFor,
        spool: Spool,
        store: Store,
        obstacles: Obstacles,
        now: Callable[[], datetime],
        due: list[datetime],
    ) -> None:
        self._account = account
        self._config = config
        self._route_for = route_for
        self._spool = spool
        self._store = store
        self._obstacles = obstacles
        self._now = now
        self._due = due
        # Arrivals first, files second: a file that lands in between is merely seen without its arrival, and is
        # then young enough to be left alone until the next scan.
        self._known = store.known(account)
        self._look = spool.look(account)
        self._files = self._look.files
        self._busy_at = spool.last_write(account)
        obstacles.found(account, self._look)
        self._resting = obstacles.resting(account, self._files)
        self._due += self._resting.values()

    def run(self) -> Iterator[str]:
        """Settle every difference, and yield the exports that were received."""
        earlier = [
            *self._withdraw_missing(),
            *(it for it in self._known.values() if it.state is ArrivalState.WITHDRAWN),
        ]
        waiting = {Group(export.route, export.path): export for export in self._store.gathering(self._account)}
        # In the order in which they came: the older of two lists of a segment is to be planned first.
        landed = sorted(self._landed(), key=lambda arrival: arrival.id)
        grounds: dict[Group, Ground] = {}
        for arrival in (it for it in landed if role_of(it.path) is Role.PART):
            route = self._route_for(self._account, arrival.path)
            if route is not None and route.source.gathers:
                group = _group(route, arrival.path)
                grounds.setdefault(group, Ground(group)).parts.append(arrival)
            elif (
                arrival.path not in self._resting
                and (route is not None or not _is_of(arrival, waiting.values()))
                and (taken := self._claim(arrival, route))
            ):
                yield taken
        yield from self._gather(grounds, waiting, [it for it in landed if role_of(it.path) is not Role.PART], earlier)

    def _withdraw_missing(self) -> list[Arrival]:
        """Withdraw what its client removed, replaced or renamed before it was claimed (rule L6), and return it.

        What merely was not seen is not missing (rule L10).
        """
        lying = {(file.fingerprint, file.path) for file in self._files}
        present = {file.fingerprint for file in self._files}
        missing = [
            arrival
            for fingerprint, arrival in self._known.items()
            if arrival.state is ArrivalState.LANDED
            and (fingerprint, arrival.path) not in lying
            and (fingerprint in present or not self._look.hides(arrival.path))
        ]
        return [arrival for arrival in missing if self._has_withdrawn(arrival)]

    def _has_withdrawn(self, arrival: Arrival) -> bool:
        try:
            self._store.withdraw(arrival.id, self._now())
        except IllegalTransitionError:
            return False  # A person discarded its export at this moment, which claimed it.
        return True

    def _landed(self) -> Iterator[Arrival]:
        """Yield the arrivals that wait to be claimed, noting those first that nobody told of."""
        # Their numbers are the order of their lists (rule D8), so what nobody told of is noted as it was written.
        for file in sorted(self._files, key=lambda file: file.changed_at):
            noted = self._known.get(file.fingerprint)
            if noted is None:
                # Rule L5: nobody told us that it is complete, so it must have rested.
                rested_at = file.changed_at + self._quiet(file.path)
                if rested_at <= self._now():
                    yield self._land(file, confirmed=False, session=None)
                else:
                    self._due.append(rested_at)
                    self._busy_at = max(file.changed_at, self._busy_at or file.changed_at)
            elif noted.path == file.path and noted.state is not ArrivalState.WITHDRAWN:
                if noted.state is ArrivalState.LANDED:
                    yield noted
            elif noted.state is not ArrivalState.CLAIMED:  # Renaming what is already claimed makes no new arrival.
                yield self._land(file, confirmed=noted.confirmed, session=noted.session)

    def _land(self, file: LandedFile, *, confirmed: bool, session: str | None) -> Arrival:
        landing = Landing(self._account, file.path, file.fingerprint, file.size, confirmed=confirmed, session=session)
        return self._store.land(landing, self._now())

    def _claim(self, arrival: Arrival, route: RouteSettings | None) -> str | None:
        """Make an export of a settled arrival and return its id, or None where it is not yet, or not, to be one."""
        settled_at = arrival.landed_at + self._settle(arrival, route)
        # One that landed in the future did so before the clock was set back: it is not to wait for so long.
        if arrival.landed_at <= self._now() < settled_at:
            self._due.append(settled_at)
            return None
        if route is None:
            hint = f"add a route for account {arrival.account} that matches the path, then have the file sent again"
            if arrival.account not in self._config.accounts:
                hint = f"account {arrival.account} is not in the configuration any more; put it back with a route"
            self._store.unroute(arrival.id, hint, self._now())
            return None
        return self._receive(arrival, route)

    def _receive(self, arrival: Arrival, route: RouteSettings) -> str | None:
        export_id = naming.export_id(route.name, arrival.landed_at, token_hex(3))
        directory = self._spool.export(route.name, export_id)
        try:
            source = self._spool.take(arrival, directory, naming.source_name(1))
            source_sha256 = hash_taken(arrival.path, source)
        except VanishedError:
            return None  # Replaced since the files were listed: the next scan withdraws it.
        except UnreadableError as trouble:
            self._spool.abandon(directory)
            self._leave_alone(trouble)
            return None
        export = NewExport(
            id=export_id,
            route=route.name,
            account=arrival.account,
            path=arrival.path,
            source_bytes=source.stat().st_size,
            source_sha256=source_sha256,
        )
        self._store.receive(export, [arrival.id], self._now())
        return export_id

    def _gather(
        self,
        grounds: dict[Group, Ground],
        waiting: dict[Group, Export],
        markers: Sequence[Arrival],
        earlier: Sequence[Arrival],
    ) -> Iterator[str]:
        """See to the exports that wait for files, and to what marks their end."""
        marking = Marking(grounds.values(), markers)
        gatherer = Gatherer(self._spool, self._store, self._config, now=self._now)
        for group, ground in grounds.items():
            if self._may_lack(ground):
                continue
            try:
                outcome = gatherer.look(
                    ground,
                    waiting.get(group),
                    earlier=earlier,
                    busy_at=self._busy_at,
                    markers=marking.claimed_with(group),
                )
            except UnreadableError as trouble:
                self._leave_alone(trouble)
                continue
            if isinstance(outcome, datetime):
                self._due.append(outcome)
            elif outcome is not None:
                marking.taken(group)
                yield outcome
        for group in waiting.keys() - grounds.keys():
            if group.route in self._config.routes and not self._look.hides(group.path):
                with suppress(IllegalTransitionError):  # A person discarded it at this moment.
                    self._store.withdraw_export(waiting[group].id, self._now())
        if not self._look.unseen:  # What they mark may be there.
            strays = Strays(self._config, self._store, self._known.values(), now=self._now)
            self._due += [due for marker in marking.strays() if (due := strays.see_to(marker)) is not None]

    def _may_lack(self, ground: Ground) -> bool:
        """Say whether an export may have more than was found of it, or has what cannot be taken for now (rule L10)."""
        lying = (*ground.parts, *ground.beside)
        return self._look.hides(ground.group.path) or any(it.path in self._resting for it in lying)

    def _leave_alone(self, trouble: UnreadableError) -> None:
        file = next((it for it in self._files if it.path == trouble.path), None)
        if file is not None:
            self._obstacles.leave_alone(self._account, file, trouble.error)
            self._due.append(self._now() + FIRST_RETRY)

    def _settle(self, arrival: Arrival, route: RouteSettings | None) -> timedelta:
        if route is not None and route.source.complete == "quiet":
            return route.source.quiet
        # What had to rest before it was noted has settled already.
        return self._config.landing.settle if arrival.confirmed else timedelta()

    def _quiet(self, path: str) -> timedelta:
        route = self._route_for(self._account, path)
        return route.source.quiet if route is not None else _QUIET_WITHOUT_ROUTE


def _group(route: RouteSettings, path: str) -> Group:
    """Return the export that a file of this route belongs to (rule C1)."""
    return Group(route.name, path if route.source.group == "file" else f"{path.rpartition('/')[0]}/")


def _is_of(arrival: Arrival, waiting: Iterable[Export]) -> bool:
    """Say whether a file waits with an export whose route the configuration has lost; it may come back."""
    return arrival.export_id is not None and any(export.id == arrival.export_id for export in waiting)
