"""Keys that expire, told in time: with the last of them nobody gets in, or no export can be opened (rule L28)."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from relay.config import Config, RouteSettings
from relay.keys import read_authorized_keys
from relay.log import Event, emit
from relay.model import RelayError

_TELL_EVERY: Final = timedelta(days=1)
_NEW_LOGIN: Final = (
    "Have Amperity's operator make a new key pair, and put the public key into the file; or write a later expiry-time."
)
_NEW_PGP_KEY: Final = (
    "Make a new key pair, put it into the file beside the one before, and have Amperity encrypt to its public key; or "
    "extend the key and export it again."
)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Until when a file of keys is of use, and to which account or route; `spare` says that a password is left."""

    file: Path
    ends_at: datetime
    hint: str
    account: str | None = None
    route: str | None = None
    spare: bool = False

    def event(self, now: datetime, notice: timedelta) -> Event | None:
        """Return what is to be told of it at an instant, None for nothing."""
        if self.ends_at - now > notice:
            return None
        return Event.KEY_EXPIRED if self.ends_at <= now and not self.spare else Event.KEY_EXPIRING

    def tell(self, event: Event) -> None:
        """Tell it."""
        emit(
            event,
            account=self.account,
            route=self.route,
            expires_at=self.ends_at,
            detail=f"the last key of {self.file.name}",
            hint=self.hint,
        )


class ExpiryWatch:
    """Tells at the start, after a reload and once a day which keys have not long to go."""

    def __init__(self, config: Config, *, now: Callable[[], datetime]) -> None:
        self._config = config
        self._now = now
        self._reloaded = asyncio.Event()

    def reload(self, config: Config) -> None:
        """Look at the keys of `config` from now on."""
        self._config = config
        self._reloaded.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._reloaded.clear()
            await asyncio.to_thread(self.look)
            with suppress(TimeoutError):
                async with asyncio.timeout(_TELL_EVERY.total_seconds()):
                    await self._reloaded.wait()

    def look(self) -> None:
        """Tell what is to be told now."""
        now = self._now()
        for lifetime in lifetimes(self._config):
            if event := lifetime.event(now, self._config.expiry_notice):
                lifetime.tell(event)


def lifetimes(config: Config) -> Iterator[Lifetime]:
    """Yield each file of keys that comes to an end, with the last of its keys.

    One that cannot be read is left out: it was refused when it was configured, and whoever needs it says so.
    """
    for name, account in config.accounts.items():
        if (file := account.authorized_keys) is not None:
            with suppress(RelayError):
                ends_at = _last(key.expires_at for key in read_authorized_keys(file).keys)
                if ends_at is not None:
                    yield Lifetime(file, ends_at, _NEW_LOGIN, account=name, spare=account.password_hash is not None)
    for route in config.routes.values():
        if (file := route.pgp.private_key) is not None:
            with suppress(RelayError):
                ends_at = _last_of_pgp(route, file)
                if ends_at is not None:
                    yield Lifetime(file, ends_at, _NEW_PGP_KEY, route=route.name)


def _last_of_pgp(route: RouteSettings, file: Path) -> datetime | None:
    # Imported only where something is encrypted: it brings the cryptography.
    from relay.rewrite.packing.pgpkeys import read_keys  # noqa: PLC0415

    return _last(state.expires_at for state in read_keys(file, route.pgp.passphrase).states if not state.revoked)


def _last(ends: Iterable[datetime | None]) -> datetime | None:
    """Return when the last of some keys expires, None where one never does or there is none."""
    known = list(ends)
    return None if None in known else max((end for end in known if end is not None), default=None)
