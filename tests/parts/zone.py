"""The landing zone as intake sees it, with a real spool and a real store, a clock that tests move, and no server."""

import os
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from relay.config import AccountSettings, Config, LandingSettings, RouteSettings, UpstreamSettings
from relay.intake.assemble import Assembler, Scan
from relay.intake.clear import clear_view
from relay.intake.obstacles import Obstacles
from relay.model import Arrival, ArrivalState, Decision, Export, ExportState, Fingerprint, Landing
from relay.spool import Spool
from relay.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT = "amperity"
PERSON = Decision("mel", "looked at it")
SETTLE = timedelta(seconds=2)


class Zone:
    """One account's landing zone, one route, and the scans of intake.

    Args:
        directory: for the state.
        path: the route's pattern.
        source: the route's `[source]`.
    """

    def __init__(self, directory: Path, *, path: str = "/uploads/**", **source: Any) -> None:
        self.directory = directory
        self.now = datetime.now(UTC)
        self.config = configuration(directory, path=path, **source)
        self.spool = Spool(directory)
        self.spool.prepare([ACCOUNT])
        if not self.spool.database.exists():
            self.spool.database.write_bytes(_empty_database())
        self.store = Store.open(self.spool.database)
        self.looks_until_kill: int | None = None
        self.meanwhile: Callable[[], object] | None = None
        self.unremovable = Obstacles(self.spool, now=lambda: self.now)
        self.assembler = self._assembler()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def restart(self, **source: Any) -> None:
        """Close everything and open it again, as a kill and a start do; `source` changes the route's settings."""
        self.looks_until_kill = None
        self.store.close()
        if source:
            self.config = configuration(self.directory, **source)
        self.store = Store.open(self.spool.database)
        self.spool.remove_abandoned(lambda export_id: self.store.export(export_id) is not None)
        self.assembler = self._assembler()

    def put(self, path: str, content: bytes = b"2125550101,VIP\n", *, noted: bool = True) -> None:
        """Upload a file as the landing zone does; without `noted`, as a kill between its name and its row leaves it."""
        landed = self.spool.landing(ACCOUNT) / path.lstrip("/")
        landed.parent.mkdir(parents=True, exist_ok=True)
        incoming = self.spool.incoming(ACCOUNT) / "upload"
        incoming.write_bytes(content)
        incoming.rename(landed)
        if noted:
            status = landed.stat()
            fingerprint = Fingerprint(status.st_ino, status.st_mtime_ns)
            landing = Landing(ACCOUNT, path, fingerprint, len(content), confirmed=True, session="s1")
            self.store.land(landing, self.now)

    def put_all(self, *paths: str) -> None:
        """Upload files, one a second, each of its own content."""
        for path in paths:
            self.put(path, os.fsencode(f"{path}\n"))
            self.wait(1)

    def begin_upload(self) -> Path:
        """Begin an upload that gets bytes at this moment, and return where it grows."""
        upload = self.spool.incoming(ACCOUNT) / "under-way"
        upload.write_bytes(b"2125550101,V")
        os.utime(upload, (self.now.timestamp(), self.now.timestamp()))
        return upload

    def remove(self, path: str) -> None:
        """Remove a landed file as its client does."""
        (self.spool.landing(ACCOUNT) / path.lstrip("/")).unlink()

    def rename(self, path: str, to: str) -> None:
        """Rename a landed file or directory as its client does."""
        root = self.spool.landing(ACCOUNT)
        (root / to.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (root / path.lstrip("/")).rename(root / to.lstrip("/"))

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.now += timedelta(seconds=seconds)

    def scan(self, after: float = 0) -> Scan:
        """Look through the zone once, `after` so many seconds."""
        self.wait(after)
        return self.assembler.scan()

    def clear(self) -> None:
        """Take out of the client's view what has been there for long enough."""
        kept = timedelta(days=7)
        clear_view(self.spool, self.store, self.now, unrouted_kept=kept, obstacles=self.unremovable)

    def exports(self, state: ExportState | None = None) -> list[Export]:
        """The exports, oldest first."""
        return sorted(self.store.exports(state=state), key=lambda it: it.id)

    def the_export(self) -> Export:
        """The one export that there is."""
        (export,) = self.exports()
        return export

    def sources(self, export: Export) -> list[str]:
        """The paths of the parts of an export in their order, each as the content of its file says (see `put_all`)."""
        directory = self.spool.export(export.route, export.id) / "source"
        return [it.read_text().strip() for it in sorted(directory.iterdir())] if directory.exists() else []

    def arrivals(self, path: str | None = None) -> list[Arrival]:
        """What landed, in order, of one path or of all."""
        return [it for it in self.store.arrivals() if path in {None, it.path}]

    def states(self) -> dict[str, ArrivalState]:
        """The state of the last arrival of each path."""
        return {it.path: it.state for it in self.store.arrivals()}

    def _assembler(self) -> Assembler:
        return Assembler(self.config, self.spool, self.store, now=self._look_at_the_clock)

    def _look_at_the_clock(self) -> datetime:
        """Tell intake the time, which it wants before everything that it does; kill it there, or do `meanwhile`."""
        if self.looks_until_kill is not None:
            self.looks_until_kill -= 1
            if self.looks_until_kill < 0:
                raise KilledError
        if self.meanwhile is not None:
            deed, self.meanwhile = self.meanwhile, None
            deed()
        return self.now


class KilledError(Exception):
    """The scan ends here, as by a kill."""


@cache
def _empty_database() -> bytes:
    """The bytes of a migrated database, so that not every zone has to migrate one."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "relay.db"
        Store.open(path).close()
        return path.read_bytes()


def configuration(directory: Path, *, path: str = "/uploads/**", **source: Any) -> Config:
    """A configuration with one account, one upstream and one route, `sirendenim`."""
    route = {"account": ACCOUNT, "path": path, "upstream": "attentive", "client_domain": "sirendenim"}
    host = {"host": "127.0.0.1", "user": "sirendenim", "password": "password", "known_hosts": "known_hosts"}
    return Config(
        state_dir=directory,
        landing=LandingSettings(settle=SETTLE),
        accounts={ACCOUNT: AccountSettings(name=ACCOUNT, authorized_keys=Path("amperity.pub"))},
        upstreams={"attentive": UpstreamSettings.model_validate({"name": "attentive", **host})},
        routes={
            "sirendenim": RouteSettings.model_validate(
                {"name": "sirendenim", "identifier": "phone", "source": source, **route}
            )
        },
    )
