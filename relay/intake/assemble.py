"""From landed files to exports: the scan of the landing zone, which is the truth that hints only hurry.

A scan compares what lies in the landing zone with the arrivals noted so far and settles every difference. It can start
from disk and database alone, so a kill at any instant costs time only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex

from relay import naming
from relay.config import Config, RouteSettings
from relay.model import Arrival, ArrivalState, Fingerprint, Landing, NewExport
from relay.spool import LandedFile, Spool, VanishedError, hash_file
from relay.store import Store

_QUIET_WITHOUT_ROUTE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan did: the exports it received, and when the next file is due to be looked at again."""

    received: tuple[str, ...]
    look_again_at: datetime | None


class Assembler:
    """Turns landed files into exports."""

    def __init__(self, config: Config, spool: Spool, store: Store, *, now: Callable[[], datetime]) -> None:
        self._config = config
        self._spool = spool
        self._store = store
        self._now = now

    def reload(self, config: Config) -> None:
        """Use `config` from the next scan on."""
        self._config = config

    def scan(self) -> Scan:
        """Look through every account's landing zone once. Blocks: call it in a thread."""
        received: list[str] = []
        due: list[datetime] = []
        for account in self._config.accounts:
            # Arrivals first, files second: a file that lands in between is merely seen without its arrival, and is
            # then young enough to be left alone until the next scan.
            known = self._store.known(account)
            files = list(self._spool.landed_files(account))
            self._withdraw_missing(known, files)
            for file in files:
                arrival = self._arrival_of(account, file, known.get(file.fingerprint), due)
                if arrival is not None and (export_id := self._claim(arrival, due)) is not None:
                    received.append(export_id)
        return Scan(tuple(received), min(due, default=None))

    def _withdraw_missing(self, known: dict[Fingerprint, Arrival], files: Sequence[LandedFile]) -> None:
        """Withdraw what its client removed, replaced or renamed before it was claimed (rule L6)."""
        lying = {(file.fingerprint, file.path) for file in files}
        for fingerprint, arrival in known.items():
            if arrival.state is ArrivalState.LANDED and (fingerprint, arrival.path) not in lying:
                self._store.withdraw(arrival.id, self._now())

    def _arrival_of(self, account: str, file: LandedFile, noted: Arrival | None, due: list[datetime]) -> Arrival | None:
        """Return the arrival that waits to be claimed for `file`, noting it first where there is none."""
        if noted is None:
            # Rule L5: nobody told us that it is complete, so it must have rested.
            rested_at = file.changed_at + self._quiet(account, file.path)
            if rested_at > self._now():
                due.append(rested_at)
                return None
            return self._land(account, file, confirmed=False, session=None)
        if noted.path == file.path and noted.state is not ArrivalState.WITHDRAWN:
            return noted if noted.state is ArrivalState.LANDED else None
        if noted.state is ArrivalState.CLAIMED:
            return None  # Renaming what is already claimed makes no new arrival.
        return self._land(account, file, confirmed=noted.confirmed, session=noted.session)

    def _land(self, account: str, file: LandedFile, *, confirmed: bool, session: str | None) -> Arrival:
        landing = Landing(account, file.path, file.fingerprint, file.size, confirmed=confirmed, session=session)
        return self._store.land(landing, self._now())

    def _claim(self, arrival: Arrival, due: list[datetime]) -> str | None:
        """Make an export of a settled arrival and return its id, or None where it is not yet, or not, to be one."""
        route = self._config.route_for(arrival.account, arrival.path)
        settled_at = arrival.landed_at + self._settle(arrival, route)
        if settled_at > self._now():
            due.append(settled_at)
            return None
        if route is None:
            hint = f"add a route for account {arrival.account} that matches the path, then have the file sent again"
            self._store.unroute(arrival.id, hint, self._now())
            return None
        return self._receive(arrival, route)

    def _receive(self, arrival: Arrival, route: RouteSettings) -> str | None:
        export_id = naming.export_id(route.name, arrival.landed_at, token_hex(3))
        try:
            source = self._spool.take(arrival, self._spool.export(route.name, export_id), naming.source_name(1))
        except VanishedError:
            return None  # Replaced since the files were listed: the next scan withdraws it.
        export = NewExport(
            id=export_id,
            route=route.name,
            account=arrival.account,
            path=arrival.path,
            source_bytes=source.stat().st_size,
            source_sha256=hash_file(source),
        )
        self._store.receive(export, [arrival.id], self._now())
        return export_id

    def _settle(self, arrival: Arrival, route: RouteSettings | None) -> timedelta:
        if route is not None and route.source.complete == "quiet":
            return route.source.quiet
        # What had to rest before it was noted has settled already.
        return self._config.landing.settle if arrival.confirmed else timedelta()

    def _quiet(self, account: str, path: str) -> timedelta:
        route = self._config.route_for(account, path)
        return route.source.quiet if route is not None else _QUIET_WITHOUT_ROUTE
