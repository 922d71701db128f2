"""The door: admission at work, with the clock, the dice, the log, and the bans that outlive the process.

The memory decides, the store remembers: a ban holds at once and is kept within a second; one that is gone from the
store was lifted by an operator (`relay unban`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import random
from typing import TYPE_CHECKING, Final

from relay.config import LandingSettings
from relay.landing.admission import Admission, Dropped, Limits, Startups
from relay.landing.penalties import Offence, Penalties, Tariff
from relay.landing.sources import Address, Network, Sources, plain_address
from relay.log import Event, emit
from relay.pulse import Pulse
from relay.steady import SteadyClock
from relay.store import Store

if TYPE_CHECKING:
    from relay.model import Ban

_LOOK_EVERY: Final = timedelta(seconds=1)
_SAY_EVERY: Final = timedelta(seconds=10)

_MOST_REMEMBERED: Final = 4096
"""Addresses that need not be taken apart again: in a flood that is a quarter of what a dropped connection costs."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Who stands at the door."""

    address: Address
    source: Network
    exempt: bool


@dataclass(slots=True)
class _Drops:
    """The connections dropped for one reason that no line has told yet, and when the last line was."""

    said_at: datetime
    count: int = 0
    last: Network | None = None


class Door:
    """Lets connections in or drops them, and shuts sources out (rules L20 to L22).

    Args:
        settings: the limits and penalties.
        store: keeps the bans.
        displace: called with a source of which the connection that waits longest is to make room.
        chance: throws the dice.
    """

    def __init__(
        self,
        settings: LandingSettings,
        store: Store,
        *,
        displace: Callable[[Network], None],
        chance: Callable[[], float] = random,
    ) -> None:
        # Bans are kept by it too: after the clock was set they last as long as they should, until a restart.
        self._now = SteadyClock()
        self._store = store
        self._displace = displace
        self._chance = chance
        self._guest_of = _guests(settings)
        self._penalties = Penalties(_tariff(settings))
        self._admission = Admission(_limits(settings), self._penalties)
        self._drops: dict[Dropped, _Drops] = {}
        self._to_keep: list[Ban] = []
        self._kept: set[str] = set()

    def reload(self, settings: LandingSettings) -> None:
        """Use other limits and penalties; who is inside or shut out stays so."""
        self._guest_of = _guests(settings)
        self._penalties.use(_tariff(settings))
        self._admission.use(_limits(settings))

    def knock(self, address: str) -> Guest | None:
        """Count a connection in and say who it is, or None for one that is to be dropped."""
        try:
            guest = self._guest_of(address)
        except ValueError:
            return None
        if guest.exempt:
            verdict = self._admission.admit_exempt(guest.source)
        else:
            verdict = self._admission.admit(guest.source, self._now(), self._chance())
        if verdict.dropped is not None:
            self._count_dropped(verdict.dropped, guest.source)
            return None
        if verdict.displaces is not None:
            self._count_dropped(Dropped.DISPLACED, verdict.displaces)
            self._displace(verdict.displaces)
        return guest

    def logged_in(self, guest: Guest) -> None:
        """Count a guest as logged in."""
        self._admission.logged_in(guest.source, exempt=guest.exempt)

    def gave_up(self, guest: Guest) -> None:
        """Count out a guest that left without a login."""
        self._admission.gave_up(guest.source, exempt=guest.exempt)

    def punish(self, guest: Guest, offence: Offence) -> bool:
        """Charge a guest's source for an offence, and say whether that was one too many: it is shut out now."""
        ban = None if guest.exempt else self._penalties.punish(guest.source, offence, self._now())
        if ban is None:
            return False
        self._to_keep.append(ban)
        emit(
            Event.LANDING_ADDRESS_BANNED,
            address=str(guest.address),
            source=ban.source,
            reason=ban.reason,
            until=ban.until,
        )
        return True

    def is_shut_out(self, guest: Guest) -> bool:
        """Say whether a guest's source has been banned meanwhile."""
        return not guest.exempt and self._penalties.is_banned(guest.source, self._now())

    @property
    def waiting(self) -> int:
        """How many connections have not logged in yet."""
        return self._admission.waiting

    # Bans, kept

    async def keep_bans(self, pulse: Pulse) -> None:
        """Take over the bans of an earlier process; then keep new ones, and lift those that an operator lifted."""
        pulse.turn("landing")
        now = self._now()
        bans = await asyncio.to_thread(self._store.bans, now)
        self._penalties.restore(bans, now)
        self._kept = {ban.source for ban in bans}
        while True:
            pulse.turn("landing", _LOOK_EVERY)
            await asyncio.sleep(_LOOK_EVERY.total_seconds())
            await self._look_after_bans()
            self._say_dropped()

    async def _look_after_bans(self) -> None:
        now, new = self._now(), self._to_keep
        self._to_keep = []
        if new:
            await asyncio.to_thread(self._store.keep_bans, new, now)
        self._kept |= {ban.source for ban in new}
        self._kept &= {ban.source for ban in self._penalties.bans(now)}
        if self._kept:
            in_force = {ban.source for ban in await asyncio.to_thread(self._store.bans, now)}
            for source in self._kept - in_force:
                self._penalties.lift(source)

    # Drops, told: a flood must not fill the log

    def _count_dropped(self, dropped: Dropped, source: Network) -> None:
        drops = self._drops.setdefault(dropped, _Drops(datetime.min.replace(tzinfo=UTC)))
        drops.count += 1
        drops.last = source
        self._say_dropped()

    def _say_dropped(self) -> None:
        now = self._now()
        for dropped, drops in self._drops.items():
            if drops.last is not None and now - drops.said_at >= _SAY_EVERY:
                emit(
                    Event.LANDING_CONNECTIONS_DROPPED,
                    reason=dropped.value,
                    connections=drops.count,
                    source=str(drops.last),
                )
                drops.said_at, drops.count, drops.last = now, 0, None


def _guests(settings: LandingSettings) -> Callable[[str], Guest]:
    """Return what says who comes from an address."""
    limits = settings.limits
    sources = Sources(limits.ipv4_prefix, limits.ipv6_prefix, limits.exempt)

    @lru_cache(_MOST_REMEMBERED)
    def guest_of(address: str) -> Guest:
        plain = plain_address(address)
        return Guest(plain, sources.source_of(plain), sources.is_exempt(plain))

    return guest_of


def _limits(settings: LandingSettings) -> Limits:
    limits = settings.limits
    return Limits(
        startups=Startups(*limits.startups_parts),
        startups_per_source=limits.startups_per_source,
        burst=limits.source_burst,
        rate=limits.source_rate,
        most_sources=settings.penalties.most_sources,
    )


def _tariff(settings: LandingSettings) -> Tariff:
    penalties = settings.penalties
    return Tariff(
        charges={offence: getattr(penalties, offence.value) for offence in Offence},
        threshold=penalties.threshold,
        most_sources=penalties.most_sources,
    )
