"""The listening side: addresses, host keys and algorithms, logins, and the way out of it all in good order."""

import asyncio
import logging
import resource
import socket
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncssh

from relay.config import Config, LimitSettings
from relay.floor import Floor
from relay.keys import load_host_keys
from relay.landing.accounts import Accounts
from relay.landing.algorithms import OFFERED, offered_host_keys
from relay.landing.custody import Custody
from relay.landing.door import Door
from relay.landing.filesystem import Disk, Root
from relay.landing.handles import Handles
from relay.landing.operations import Operations
from relay.landing.pace import Pace
from relay.landing.room import Allowance, Room, Usage, measure
from relay.landing.session import WINDOW, SftpSession
from relay.landing.sources import Network
from relay.landing.turns import Turns
from relay.landing.visit import Visit
from relay.log import Event, emit
from relay.model import Landing, RelayError
from relay.pulse import Pulse
from relay.spool import Spool
from relay.store import Store

_BACKLOG: Final = 4096
_WAITS_AT_ONCE: Final = 64
"""Threads in which operations wait for the disk, over all sessions."""

_OPTIONS: Final[dict[str, Any]] = {
    "compression_algs": None,
    "gss_host": None,
    "host_based_auth": False,
    "allow_pty": False,
    "line_editor": False,
    "x11_forwarding": False,
    "agent_forwarding": False,
    "encoding": None,
    "window": WINDOW,
    "server_version": "relay",
    # A visit keeps its own time, so that it knows what it was ended for.
    "login_timeout": 0,
    "config": None,
}


class LandingServer:
    """The landing zone: takes custody of what clients upload.

    Args:
        settings: the configuration.
        spool: where the bytes go.
        store: where each landing is noted before its client is told so.
        landed: called after that, and when a client moved a file: a scan is worth its while.
        floor: the least free disk; a reload sets how much that is.
        disk: the calls on whose word custody is taken.
        inherited: sockets that listen already, in place of the addresses of the configuration. They stay open.
    """

    def __init__(
        self,
        settings: Config,
        spool: Spool,
        store: Store,
        *,
        landed: Callable[[], None],
        floor: Floor,
        disk: Disk = Disk(),  # noqa: B008  a frozen value
        inherited: Sequence[socket.socket] = (),
    ) -> None:
        self.accounts = Accounts(settings.accounts)
        self._handles = Handles(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.door = Door(settings.landing, store, displace=self._make_room)
        self.stopping = False
        self.visits: dict[Visit, None] = {}
        self.turns = Turns()
        self._settings = settings
        self._spool = spool
        self._store = store
        self._landed = landed
        self._disk = disk
        self._inherited = inherited
        self._floor = floor
        self._pace = Pace()
        self._rooms: dict[str, Room] = {}
        self._pool = ThreadPoolExecutor(_WAITS_AT_ONCE, thread_name_prefix="relay-landing")
        self._acceptors: list[asyncssh.SSHAcceptor] = []
        self._host_keys: list[asyncssh.SSHKey] = []
        self._changed = asyncio.Event()
        self._sessions: set[SftpSession] = set()

    async def start(self) -> tuple[str, ...]:
        """Listen, and return the addresses, such as `127.0.0.1:2222`.

        Raises:
            RelayError: a host key cannot be read, or an address cannot be listened on.
        """
        # Below this it writes the names of users.
        asyncssh.set_log_level(logging.WARNING)
        self._host_keys = load_host_keys(self._settings.landing.host_keys)
        try:
            if self._inherited:
                await self._listen_with_inherited()
            else:
                for host, port in self._settings.landing.addresses:
                    self._acceptors.append(await self._listen(host, port))
        except RelayError:
            await self.close()
            raise
        return tuple(_shown(*address[:2]) for acceptor in self._acceptors for address in acceptor.get_addresses())

    async def _listen_with_inherited(self) -> None:
        """Listen with copies: when they are closed, who connects waits in the socket's queue for the next start."""
        listened = [_shown(*it.getsockname()[:2]) for it in self._inherited]
        if _ports(listened) != _ports(self._settings.landing.listen):
            emit(
                Event.LANDING_LISTEN_IGNORED,
                listen=listened,
                detail=f"landing.listen says {', '.join(self._settings.landing.listen)}",
                hint="The sockets of relay.socket count. Put the same port into landing.listen, for `relay check` to "
                "say what holds; or do without them: `systemctl disable --now relay.socket`.",
            )
        for inherited in self._inherited:
            copy = inherited.dup()
            copy.setblocking(False)  # noqa: FBT003  as the socket module has it
            self._acceptors.append(await self._serve(sock=copy))

    async def _serve(self, **where: Any) -> asyncssh.SSHAcceptor:
        options = {**_OPTIONS, **self._changeable_options()}
        return await asyncssh.create_server(lambda: Visit(self), backlog=_BACKLOG, **where, **options)

    async def _listen(self, host: str, port: int) -> asyncssh.SSHAcceptor:
        try:
            return await self._serve(host=host, port=port)
        except OSError as trouble:
            raise RelayError(
                f"cannot listen on {_shown(host, port)}: {trouble.strerror}",
                hint="Check [landing] listen: the address must be this host's, and the port free.",
            ) from None

    def reload(self, config: Config) -> None:
        """Use the accounts, limits, penalties and algorithms of `config` from now on.

        Whoever is logged in as an account that is gone, or from where it may not any more, is put out. Where it
        listens, and its host keys, stay what they were.
        """
        self._settings = config
        self.accounts.reload(config.accounts)
        self._floor.least = config.landing.min_free
        for account, room in self._rooms.items():
            if account in config.accounts:
                room.allowance = self._allowance(account)
        self.door.reload(config.landing)
        for acceptor in self._acceptors:
            acceptor.update(**self._changeable_options())
        for visit in list(self.visits):
            if visit.account is None:
                continue
            if visit.account not in self.accounts:
                visit.hang_up("account_removed")
            elif not self.accounts.is_from_where_it_may(visit.account, visit.guest.address):
                visit.hang_up("address_not_allowed")

    async def keep_bans(self, pulse: Pulse) -> None:
        """Keep the bans over restarts, and lift those that an operator lifts; until it is cancelled."""
        await self.door.keep_bans(pulse)

    def _changeable_options(self) -> dict[str, Any]:
        """Return the options that a reload may change for connections to come."""
        landing = self._settings.landing
        return {
            **OFFERED[landing.algorithms],
            "server_host_keys": offered_host_keys(self._host_keys, landing.algorithms),
            "keepalive_interval": landing.limits.keepalive.total_seconds(),
            "keepalive_count_max": landing.limits.keepalives_unanswered,
        }

    def _waiting(self, source: Network) -> list[Visit]:
        """Return the connections of a source that have not logged in, the one that waits longest first."""
        return [it for it in self.visits if it.account is None and not it.aborted and it.guest.source == source]

    def put_out(self, source: Network, *, but: Visit) -> None:
        """End the connections of a source that have not logged in, except one."""
        for visit in self._waiting(source):
            if visit is not but:
                visit.abort()

    def _make_room(self, source: Network) -> None:
        for visit in self._waiting(source)[:1]:
            visit.abort()

    async def drain(self, within: timedelta) -> None:
        """Listen no more, let open uploads come to their end, and after `within` put everybody out."""
        self._stop_listening()
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._wait_until(lambda: not any(session.is_uploading for session in self._sessions))
        except TimeoutError:
            pass
        await self._put_everybody_out()

    async def close(self) -> None:
        """Put everybody out, and end."""
        self._stop_listening()
        await self._put_everybody_out()
        for acceptor in self._acceptors:
            await acceptor.wait_closed()
        self._pool.shutdown(wait=False)
        self.accounts.close()

    def _stop_listening(self) -> None:
        self.stopping = True
        for acceptor in self._acceptors:
            acceptor.close()

    async def _put_everybody_out(self) -> None:
        for visit in list(self.visits):
            visit.hang_up("stopping")
        await self._wait_until(lambda: not self.visits and all(session.ended for session in self._sessions))

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    # What a visit needs

    def new_session(self, account: str, name: str) -> SftpSession:
        """Return a session for a client that has logged in."""

        def begin() -> Operations:
            root = Root(self._spool.landing(account), self._spool.incoming(account), self._disk)
            self._sessions = {other for other in self._sessions if not other.ended} | {session}
            room = self._room(account)
            custody = Custody(account, name, room, self._handles, self._note, self._landed, lambda: self.stopping)
            return Operations(root, custody, background=self._pool.submit)

        session = SftpSession(
            begin,
            self._pool,
            self._pace,
            changed=self._changed.set,
            failed=lambda defect: _say_failed(account, name, defect),
        )
        return session

    def _room(self, account: str) -> Room:
        """Return the room that all sessions of an account share."""

        def measured() -> Usage:
            return measure((self._spool.landing(account), self._spool.incoming(account)))

        if account not in self._rooms:
            self._rooms[account] = Room(self._allowance(account), measured, self._floor)
        return self._rooms[account]

    def _allowance(self, account: str) -> Allowance:
        limits = self._settings.accounts[account]
        return Allowance(self._settings.landing.max_file_size, limits.quota, limits.max_files)

    def _note(self, landing: Landing) -> None:
        self._store.land(landing, datetime.now(UTC))

    @property
    def limits(self) -> LimitSettings:
        """The limits in force."""
        return self._settings.landing.limits

    @property
    def login_seconds(self) -> float:
        """How long a client may take to log in."""
        return self._settings.landing.login_timeout.total_seconds()

    def sessions_of(self, account: str) -> int:
        """Return how many sessions an account has; a connection without one counts as one."""
        return sum(visit.sessions for visit in self.visits if visit.account == account)

    def leave(self, visit: Visit) -> None:
        """Take note that a connection has ended."""
        self.visits.pop(visit, None)
        self._changed.set()


def _say_failed(account: str, session: str, defect: BaseException) -> None:
    """Report a defect: its kind and place, never its message, which may quote what a client sent."""
    frames = traceback.extract_tb(defect.__traceback__)[-3:]
    emit(
        Event.LANDING_SESSION_FAILED,
        session=session,
        account=account,
        reason=type(defect).__name__,
        detail=" < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)),
        hint="The client's connection was ended, and nobody else's. Report this with its detail.",
    )


def _ports(addresses: Sequence[str]) -> set[str]:
    return {address.rpartition(":")[2] for address in addresses}


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
