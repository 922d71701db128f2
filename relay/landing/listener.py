"""The listening side: addresses, host keys and algorithms, logins, and the way out of it all in good order."""

import asyncio
import logging
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import asyncssh

from relay.config import Config
from relay.keys import load_host_keys
from relay.landing.accounts import Accounts
from relay.landing.filesystem import Disk, Root
from relay.landing.operations import Custody, Operations
from relay.landing.pace import Pace
from relay.landing.room import Allowance, Floor, Room, Usage, measure
from relay.landing.session import WINDOW, SftpSession
from relay.log import Event, emit
from relay.model import Landing, RelayError
from relay.spool import Spool
from relay.store import Store

_BACKLOG: Final = 4096
_KEEPALIVE_SECONDS: Final = 30
_KEEPALIVES_UNANSWERED: Final = 3
_MOST_WRONG_PASSWORDS: Final = 3
_MOST_SESSIONS: Final = 10
_WAITS_AT_ONCE: Final = 64
"""Threads in which operations wait for the disk, over all sessions."""

_RSA_SIGNATURES: Final = (b"rsa-sha2-512", b"rsa-sha2-256")

_OPTIONS: Final[dict[str, Any]] = {
    # GCM first: it is the fastest by far here. No chacha20, which clients would prefer and asyncssh is slow at.
    "encryption_algs": [
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    ],
    "mac_algs": [
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    ],
    # What asyncssh has by default, without SHA-1, GSS and what nobody else speaks.
    "kex_algs": "-*-sha1,gss-*,rsa2048-sha256,*@ssh.com,ecdh-sha2-1.3.132.0.10",
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
    "keepalive_interval": _KEEPALIVE_SECONDS,
    "keepalive_count_max": _KEEPALIVES_UNANSWERED,
    "backlog": _BACKLOG,
    "config": None,
}


class LandingServer:
    """The landing zone: takes custody of what clients upload.

    Args:
        settings: the configuration.
        spool: where the bytes go.
        store: where each landing is noted before its client is told so.
        landed: called after that, and when a client moved a file: a scan is worth its while.
        disk: the calls on whose word custody is taken.
    """

    def __init__(
        self,
        settings: Config,
        spool: Spool,
        store: Store,
        *,
        landed: Callable[[], None],
        disk: Disk = Disk(),  # noqa: B008  a frozen value
    ) -> None:
        self.accounts = Accounts(settings.accounts)
        self.stopping = False
        self.visits: set[Visit] = set()
        self._settings = settings
        self._spool = spool
        self._store = store
        self._landed = landed
        self._disk = disk
        self.floor = Floor(spool.free_bytes, settings.landing.min_free)
        self._pace = Pace()
        self._rooms: dict[str, Room] = {}
        self._pool = ThreadPoolExecutor(_WAITS_AT_ONCE, thread_name_prefix="relay-landing")
        self._acceptors: list[asyncssh.SSHAcceptor] = []
        self._changed = asyncio.Event()
        self._sessions: set[SftpSession] = set()

    async def start(self) -> tuple[str, ...]:
        """Listen, and return the addresses, such as `127.0.0.1:2222`.

        Raises:
            RelayError: a host key cannot be read, or an address cannot be listened on.
        """
        # Below this it writes the names of users.
        asyncssh.set_log_level(logging.WARNING)
        host_keys = load_host_keys(self._settings.landing.host_keys)
        for key in host_keys:
            if key.get_algorithm() == "ssh-rsa":
                # SHA-1 goes only this way: the option for signature algorithms does not reach host keys.
                key.sig_algorithms = _RSA_SIGNATURES
        try:
            for host, port in self._settings.landing.addresses:
                self._acceptors.append(await self._listen(host, port, host_keys))
        except RelayError:
            await self.close()
            raise
        return tuple(_shown(*address[:2]) for acceptor in self._acceptors for address in acceptor.get_addresses())

    async def _listen(self, host: str, port: int, host_keys: list[asyncssh.SSHKey]) -> asyncssh.SSHAcceptor:
        try:
            return await asyncssh.create_server(
                lambda: Visit(self),
                host,
                port,
                server_host_keys=host_keys,
                login_timeout=self._settings.landing.login_timeout.total_seconds(),
                **_OPTIONS,
            )
        except OSError as trouble:
            raise RelayError(
                f"cannot listen on {_shown(host, port)}: {trouble.strerror}",
                hint="Check [landing] listen: the address must be this host's, and the port free.",
            ) from None

    def reload(self, config: Config) -> None:
        """Use the accounts of `config` from now on; whoever is logged in as one that is gone is put out."""
        self._settings = config
        self.accounts.reload(config.accounts)
        self.floor.least = config.landing.min_free
        for account, room in self._rooms.items():
            if account in config.accounts:
                room.allowance = self._allowance(account)
        for visit in list(self.visits):
            if visit.account is not None and visit.account not in self.accounts:
                visit.hang_up("account_removed")

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
            custody = Custody(account, name, room, self._note, self._landed, lambda: self.stopping)
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
            self._rooms[account] = Room(self._allowance(account), measured, self.floor)
        return self._rooms[account]

    def _allowance(self, account: str) -> Allowance:
        limits = self._settings.accounts[account]
        return Allowance(self._settings.landing.max_file_size, limits.quota, limits.max_files)

    def _note(self, landing: Landing) -> None:
        self._store.land(landing, datetime.now(UTC))

    def leave(self, visit: "Visit") -> None:
        """Take note that a connection has ended."""
        self.visits.discard(visit)
        self._changed.set()


class Visit(asyncssh.SSHServer):
    """One connection, from its first byte to its last."""

    def __init__(self, server: LandingServer) -> None:
        self.account: str | None = None
        self._server = server
        self._name = token_hex(4)
        self._address = ""
        self._sessions: list[SftpSession] = []
        self._connection: asyncssh.SSHServerConnection
        self._claimed: str | None = None
        self._method = "publickey"
        self._wrong_passwords = 0
        self._refusal: str | None = None

    def hang_up(self, reason: str) -> None:
        """End the connection and every session on it."""
        for session in self._sessions:
            session.blame(reason)
        self._connection.close()

    # What asyncssh calls. Forwarding of every kind is refused by not being mentioned here.

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note who is there."""
        self._connection = conn
        self._address = (conn.get_extra_info("peername") or ("gone",))[0]
        self._server.visits.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the sessions hear of it too
        """Say so if somebody tried to log in and did not succeed; a mere touch of the port is not worth a line."""
        if self.account is None and self._refusal is not None:
            self._say_refused(self._refusal)
        self._server.leave(self)

    async def begin_auth(self, username: str) -> bool:
        """Make ready for a login: keys are read anew each time."""
        self._claimed = username
        self._refusal = "gave_up" if username in self._server.accounts else "unknown_account"
        try:
            self._connection.set_authorized_keys(await self._server.accounts.authorized_keys(username))
        except RelayError:
            self._refusal = "unusable_authorized_keys"
            self._connection.set_authorized_keys(None)
        return True

    def public_key_auth_supported(self) -> bool:
        """Offer it to everybody, so that nobody learns which accounts there are."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Refuse a key: asyncssh asks only about those that `begin_auth` did not name."""
        if self._refusal == "gave_up":
            self._refusal = "key_not_authorized"
        return False

    def password_auth_supported(self) -> bool:
        """Offer it to everybody, likewise; keyboard-interactive login asks for the same password."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Check a password.

        Raises:
            asyncssh.PermissionDenied: this was one wrong password too many; it ends the connection.
        """
        try:
            if await self._server.accounts.is_password(username, password):
                self._method = "password"
                return True
            reason = "wrong_password" if username in self._server.accounts else "unknown_account"
        except RelayError:
            reason = "unusable_password_hash"
        self._say_refused(reason)
        self._refusal = None
        self._wrong_passwords += 1
        if self._wrong_passwords >= _MOST_WRONG_PASSWORDS:
            raise asyncssh.PermissionDenied("Too many wrong passwords")
        return False

    def auth_completed(self) -> None:
        """Note who it is."""
        self.account = self._connection.get_extra_info("username")
        emit(
            Event.LANDING_LOGIN_SUCCEEDED,
            session=self._name,
            account=self.account,
            address=self._address,
            method=self._method,
        )

    def session_requested(self) -> SftpSession:
        """Open a session."""
        self._sessions = [session for session in self._sessions if not session.ended]
        if self.account is None or self.account not in self._server.accounts or self._server.stopping:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "Not now")
        if len(self._sessions) >= _MOST_SESSIONS:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "Too many sessions")
        session = self._server.new_session(self.account, self._name)
        self._sessions.append(session)
        return session

    def _say_refused(self, reason: str) -> None:
        # A user name that is not an account's may be a password typed into the wrong field.
        account = self._claimed if self._claimed in self._server.accounts else None
        emit(Event.LANDING_LOGIN_REFUSED, session=self._name, address=self._address, reason=reason, account=account)


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


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
