"""The composition root: builds every stage, wires one wake-up to the next, and takes the service up and down.

Nothing here knows what a list is. The only wires between the stages are the wake-ups; everything else they say to each
other is on disk and in the database.
"""

import asyncio
import os
import resource
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import random
from typing import Final

import uvloop

from relay import __version__
from relay.announcer import Announcer
from relay.config import Config, ConfigError, load
from relay.core_dumps import forbid_core_dumps
from relay.defects import kind_of, leaves, place_of
from relay.disk import disk_trouble
from relay.expiry import ExpiryWatch
from relay.floor import Floor
from relay.inherited import inherited_sockets
from relay.intake.clear import clear_view
from relay.intake.obstacles import Obstacles
from relay.intake.stage import Intake
from relay.landing import LandingServer
from relay.log import Event, configure, emit
from relay.model import RelayError
from relay.notify import notify
from relay.outbox import Outbox, Vigil
from relay.pulse import Pulse
from relay.retention import sweep
from relay.signals import Signals
from relay.spool import Spool
from relay.standing import gather
from relay.standstill import Standstill
from relay.steady import SteadyClock
from relay.store import Store
from relay.vitals import Vitals

_HEARTBEAT_EVERY: Final = timedelta(minutes=1)
_REPORT_EVERY: Final = timedelta(days=1)
_SWEEP_EVERY: Final = timedelta(hours=1)
_LOOK_WHY: Final = (
    "Nothing is lost. Look in the system's journal what ended it: a watchdog, a want of memory, a kill, or a power cut."
)


def serve(config_path: Path) -> int:
    """Run the service until it is told to stop, and return its exit status: 0 in good order, 1 after a defect.

    Raises:
        RelayError: the configuration has problems, or the state cannot be opened.
    """
    signals = Signals()
    signals.await_loop()
    config = load(config_path)
    configure()
    os.umask(0o077)
    forbid_core_dumps()
    _allow_all_descriptors()
    emit(Event.RELAY_STARTED, version=__version__)
    began = time.monotonic()
    standstill = Standstill(signals)
    inherited = inherited_sockets()
    outcome: Config | bool = config
    while isinstance(outcome, Config):
        outcome = _run_or_stand_still(config_path, outcome, signals, standstill, inherited)
        signals.await_loop()
    if outcome:
        emit(Event.RELAY_STOPPED, uptime=round(time.monotonic() - began, 3))
    return 0 if outcome else 1


def _allow_all_descriptors() -> None:
    """Have as many files and connections open at once as the host allows; the usual soft limit is for `select`."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _run_or_stand_still(
    config_path: Path, config: Config, signals: Signals, standstill: Standstill, inherited: Sequence[socket.socket]
) -> Config | bool:
    """Run the daemon; return whether it ended well, or where the disk refused, the settings to begin anew with."""
    try:
        return run(config_path, config, signals, inherited)
    except Exception as error:
        trouble = disk_trouble(error)
        if trouble is None:
            raise
    with Spool(config.state_dir).kept_lock(), _event_loop() as runner:
        is_well_again = runner.run(standstill.outlast(trouble, partial(_check_writable, config)))
    if not is_well_again:
        return True
    try:
        return load(config_path)  # It may have been reloaded since the start.
    except ConfigError as refused:
        emit(Event.CONFIG_REFUSED, problems=len(refused.problems), detail=str(refused), hint=refused.hint)
        return config


def _event_loop() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _check_writable(config: Config) -> None:
    """See that the disk and the database can be written to.

    Raises:
        OSError, RelayError: they cannot.
    """
    spool = Spool(config.state_dir)
    spool.prepare(config.accounts)
    spool.check_writable()
    with closing(Store.open(spool.database)) as store:
        store.check_writable()


def run(config_path: Path, config: Config, signals: Signals, inherited: Sequence[socket.socket]) -> bool:
    """Open the state, run the daemon on it until it is told to stop, and return whether it ended well.

    Raises:
        RelayError: the state cannot be opened.
        Exception: a group of nothing but what the disk refused, which may pass.
    """
    changes = Changes()

    def announce() -> None:
        runner.get_loop().call_soon_threadsafe(changes.committed)

    spool = Spool(config.state_dir)
    spool.prepare(config.accounts)
    with (
        _event_loop() as runner,
        spool.lock() as interrupted,
        closing(Store.open(spool.database, committed=announce)) as store,
        # Nothing outlives it, no thread either: whoever gets the lock next is alone with the state.
        closing(runner),
    ):
        if interrupted:
            emit(Event.RELAY_INTERRUPTED, hint=_LOOK_WHY)
        # What is damaged could give a name twice, or forget what was sent.
        store.check_sound()
        spool.remove_abandoned(lambda export_id: store.export(export_id) is not None)
        try:
            runner.run(Daemon(config_path, config, spool, store, changes, inherited=inherited).run(signals))
        except Exception as ended:
            if disk_trouble(ended):
                raise
            _tell_of(ended)
            return False
    return True


def _tell_of(ended: Exception) -> None:
    """Say in the log what ended the service.

    Dying is safe: the state is durable and the next start goes on.
    """
    refusals = [leaf for leaf in leaves(ended) if isinstance(leaf, RelayError)]
    for refusal in refusals:
        emit(Event.RELAY_FAILED, reason="refused", detail=refusal.message, hint=refusal.hint)
    if defects := [leaf for leaf in leaves(ended) if not isinstance(leaf, RelayError)]:
        emit(
            Event.RELAY_FAILED,
            reason=", ".join(map(kind_of, defects)),
            detail="; ".join(map(place_of, defects)),
            hint="report this with its detail; the service manager starts the relay again",
        )


class Changes:
    """Something was committed: who announces it, and who tells how things stand, clear their own mark."""

    def __init__(self) -> None:
        self.to_announce = asyncio.Event()
        self.to_tell = asyncio.Event()

    def committed(self) -> None:
        """Set both."""
        self.to_announce.set()
        self.to_tell.set()


class Daemon:
    """Every stage, running."""

    def __init__(
        self,
        config_path: Path,
        config: Config,
        spool: Spool,
        store: Store,
        changes: Changes,
        *,
        inherited: Sequence[socket.socket] = (),
        pulse: Pulse | None = None,
    ) -> None:
        self._config_path = config_path
        self._config = config
        self._spool = spool
        self._store = store
        self._began = time.monotonic()
        self._pulse = pulse = pulse or Pulse()
        self._vitals = Vitals(pulse, spool, lambda: gather(self._config, store, _now()), changes.to_tell)
        self._announcer = Announcer(store, changes.to_announce, config, pulse=pulse)
        self._outbox = Outbox(config, spool, store, random=random, now=_now, steady=SteadyClock(), pulse=pulse)
        self._vigil = Vigil(config, store, now=_now, pulse=pulse)
        self._expiry = ExpiryWatch(config, now=_now)
        self._floor = floor = Floor(spool.free_bytes, config.landing.min_free)
        self._intake = Intake(config, spool, store, planned=self._outbox.wake.set, floor=floor, now=_now, pulse=pulse)
        self._landing = LandingServer(
            config, spool, store, landed=self._intake.wake.set, floor=floor, inherited=inherited
        )
        self._unremovable = Obstacles(spool, now=_now)

    async def run(self, signals: Signals) -> None:
        """Start every stage, say that the service is ready, and end the stages in order when told to stop."""
        told_to_stop = signals.listen(self._reload)
        async with asyncio.TaskGroup() as stages:
            listen = await self._landing.start()
            try:
                stages.create_task(self._announcer.run())
                intake = stages.create_task(self._intake.run())
                outbox = stages.create_task(self._outbox.run())
                upkeep = [
                    stages.create_task(it)
                    for it in (
                        self._vigil.run(),
                        self._expiry.run(),
                        self._landing.keep_bans(self._pulse),
                        self._beat(),
                        self._sweep(),
                        self._vitals.tell_alive(),
                        self._vitals.tell_standing(),
                    )
                ]
                emit(Event.RELAY_READY, listen=listen, routes=len(self._config.routes))
                notify("READY=1")
                await told_to_stop.wait()
                await self._drain(intake)
                for task in (outbox, *upkeep):
                    task.cancel()
                self._announcer.finish()
            finally:
                await self._landing.close()

    async def _drain(self, intake: asyncio.Task[None]) -> None:
        """Stop taking, let uploads and sends in hand come to an end for a while, then cut them off."""
        emit(Event.RELAY_DRAINING)
        notify("STOPPING=1")
        self._pulse.finish()
        within = self._config.landing.drain
        intake.cancel()
        await asyncio.gather(self._landing.drain(within), self._outbox.drain(within))

    def _reload(self) -> None:
        """Read the configuration again; one with problems changes nothing."""
        # The monotonic clock lets the service manager tell this reload from an earlier one.
        notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            config = load(self._config_path)
            self._spool.prepare(config.accounts)
        except RelayError as refused:
            problems = len(refused.problems) if isinstance(refused, ConfigError) else 1
            emit(Event.CONFIG_REFUSED, problems=problems, detail=str(refused), hint=refused.hint)
        else:
            self._apply(config)
            emit(Event.CONFIG_RELOADED, routes=len(config.routes))
        notify("READY=1")

    def _apply(self, config: Config) -> None:
        # Where it listens, its host keys and its state belong to the process: they change by restart.
        self._config = replace(config, state_dir=self._config.state_dir)
        for stage in (self._landing, self._intake, self._outbox, self._vigil, self._expiry, self._announcer):
            stage.reload(self._config)

    async def _beat(self) -> None:
        """Say every minute that the service is alive and what waits, so that silence means trouble."""
        while True:
            await asyncio.to_thread(self._floor.is_low)  # it tells the log
            await asyncio.sleep(_HEARTBEAT_EVERY.total_seconds())
            counts = await asyncio.to_thread(self._store.counts)
            emit(
                Event.RELAY_HEARTBEAT,
                uptime=round(time.monotonic() - self._began),
                queued=counts.queued,
                held=counts.held,
                quarantined=counts.quarantined,
            )

    async def _sweep(self) -> None:
        """Clear away, at the start and every hour, what nobody needs any more (rules R3 to R6)."""
        while True:
            await asyncio.to_thread(self._clear_away)
            await asyncio.sleep(_SWEEP_EVERY.total_seconds())

    def _clear_away(self) -> None:
        kept = self._config.retention
        aborted = self._spool.sweep_incoming(_now())
        left_view = clear_view(self._spool, self._store, _now(), unrouted_kept=kept.files, obstacles=self._unremovable)
        landed = [*aborted, *(file for _, file in left_view)]
        self._write_report()
        removed = sweep(kept, self._spool, self._store, _now())
        if removed or landed:
            emit(
                Event.RETENTION_SWEPT,
                files=len(landed) + len(removed.files),
                bytes=sum(file.size for file in landed) + removed.size,
                discarded=len(removed.discarded),
                exports=removed.exports,
            )

    def _write_report(self) -> None:
        """Write the report where that is asked for, once a day."""
        file, now = self._config.report, _now()
        if file is None:
            return
        # Not everybody wants one, and what draws it is large.
        from relay.report import write_report  # noqa: PLC0415

        try:
            if not file.exists() or now.timestamp() - file.stat().st_mtime >= _REPORT_EVERY.total_seconds():
                write_report(self._config, self._store, file, now)
        except OSError as error:
            emit(
                Event.REPORT_FAILED,
                path=str(file),
                reason=error.strerror or type(error).__name__,
                hint="make its directory writable for the relay's user, or set `report` to another file",
            )


def _now() -> datetime:
    return datetime.now(UTC)
