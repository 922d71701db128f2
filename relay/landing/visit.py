"""One visit: a connection from its first byte to its last, its tries to log in, and what it may do afterwards."""

import asyncio
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Final

import asyncssh

from relay.keys import AuthorizedKeys
from relay.landing.doorstep import Doorstep
from relay.landing.penalties import Offence
from relay.landing.session import WINDOW, SftpSession
from relay.log import Event, emit
from relay.model import RelayError

if TYPE_CHECKING:
    from relay.landing.door import Guest
    from relay.landing.listener import LandingServer

_MOST_REQUESTS: Final = 20
"""Requests of any kind before a login, however little each asks for: none of a patient client's comes near."""

_USERAUTH: Final = b"ssh-userauth"

_Refusal = str | None


class Visit(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, server: "LandingServer") -> None:
        self.account: str | None = None
        self.aborted = False
        self.guest: Guest
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._name = token_hex(4)
        self._sessions: list[SftpSession] = []
        self._connection: asyncssh.SSHServerConnection
        self._doorstep: Doorstep
        self._is_inside = False
        self._is_waiting = False
        self._timer: asyncio.TimerHandle | None = None
        self._active_at = self._loop.time()
        # Of the login
        self._claimed: str | None = None
        self._keys: AuthorizedKeys | None = None
        self._method = "publickey"
        self._tries = 0
        self._requests = 0
        self._refusal: _Refusal = None
        self._offence: Offence | None = None
        self._settled = False

    @property
    def sessions(self) -> int:
        """How many sessions count against the account: a connection without one counts as one."""
        return max(1, sum(not session.ended for session in self._sessions))

    def hang_up(self, reason: str) -> None:
        """End the connection and every session on it."""
        for session in self._sessions:
            session.blame(reason)
        self._connection.close()

    def abort(self) -> None:
        """End a connection that has not logged in, without a word, and count it out at once."""
        self.aborted = self._settled = True
        self._stop_waiting()
        self._connection.abort()

    # What asyncssh calls. Forwarding of every kind is refused by not being mentioned here.

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Drop it before the greeting, or note who is there."""
        self._connection = conn
        guest = self._server.door.knock((conn.get_extra_info("peername") or ("gone",))[0])
        if guest is None:
            conn.abort()
            return
        self._doorstep = Doorstep(conn, self._server.turns, self._be_too_loud)
        self.guest = guest
        self._is_inside = self._is_waiting = True
        self._server.visits[self] = None
        self._timer = self._loop.call_later(self._server.login_seconds, self._be_too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle what is left of a visit without a login: a mere touch of the port is not worth a line, or a charge."""
        if not self._is_inside:
            return
        if self._timer is not None:
            self._timer.cancel()
        if self.account is None:
            self._stop_waiting()
            if self._refusal is not None:
                self._say_refused(self._refusal)
            offence = None if self._settled else self._offence or self._offence_of(exc)
            if offence is not None:
                self._be_punished(offence)
        self._server.leave(self)

    # Logging in

    def begin_auth(self, username: str) -> bool:
        """Make ready for a login under a name: its keys are looked at anew each time."""
        self._claimed = username
        self._refusal, self._keys = self._keys_of(username)
        counting = None if self._keys is None else self._keys.counting(_now())
        self._connection.set_authorized_keys(counting)
        return True

    def kbdint_auth_supported(self) -> bool:
        """Offer it, for the same password; asyncssh asks this whenever it has refused a request.

        Raises:
            asyncssh.PermissionDenied: that was one request too many.
        """
        self._requests += 1
        if self._requests > _MOST_REQUESTS:
            raise asyncssh.PermissionDenied("Too many requests")
        # asyncssh takes one service request a connection, but paramiko sends one for each key or password it tries.
        self._connection._next_service = _USERAUTH  # noqa: SLF001  there is no other way; a contract test watches it
        # asyncssh's word for: ask for the password.
        return NotImplemented  # type: ignore[no-any-return]

    def public_key_auth_supported(self) -> bool:
        """Offer it to everybody, so that nobody learns which accounts there are."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Refuse a key: asyncssh asks only about those that `begin_auth` did not name.

        Raises:
            asyncssh.PermissionDenied: this was one try too many; it ends the connection.
        """
        self._try()
        if self._refusal == "gave_up":
            expired = self._keys is not None and self._keys.has_expired(key, _now())
            self._refusal = "key_expired" if expired else "key_not_authorized"
        self._offence = Offence.REFUSED_LOGIN
        self._end_after_the_last_try()
        return False

    def password_auth_supported(self) -> bool:
        """Offer it to everybody, likewise; keyboard-interactive login asks for the same password."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Check a password.

        Raises:
            asyncssh.PermissionDenied: this was one try too many; it ends the connection.
        """
        # Counted before any work is done: a client need not wait for one answer before it asks again.
        self._try()
        reason: _Refusal = "gave_up"
        try:
            accounts = self._server.accounts
            if await accounts.is_password(username, password, self.guest.address):
                reason, self._method = None, "password"
                return True
            reason = self._wrong(username)
        except RelayError:
            reason = "unusable_password_hash"
        finally:
            self._password_refused(reason)
        self._end_after_the_last_try()
        return False

    def auth_completed(self) -> None:
        """Note who it is, if the account has room.

        Raises:
            asyncssh.DisconnectError: it has not.
        """
        account: str = self._connection.get_extra_info("username")
        if self._server.sessions_of(account) >= self._server.limits.sessions_per_account:
            self._refusal, self._settled = "too_many_sessions", True
            raise asyncssh.DisconnectError(asyncssh.DISC_TOO_MANY_CONNECTIONS, "Too many sessions")
        self.account = account
        self._is_waiting = False
        self._doorstep.open()
        self._server.door.logged_in(self.guest)
        if self._timer is not None:
            self._timer.cancel()
        self._active_at = self._loop.time()
        self._look_whether_idle()
        emit(
            Event.LANDING_LOGIN_SUCCEEDED,
            session=self._name,
            account=self.account,
            address=str(self.guest.address),
            method=self._method,
        )

    def _keys_of(self, username: str) -> tuple[_Refusal, AuthorizedKeys | None]:
        """Return the keys that may log in, and what a login that comes to nothing will have been refused for."""
        accounts = self._server.accounts
        if username not in accounts:
            return "unknown_account", None
        if not accounts.is_from_where_it_may(username, self.guest.address):
            return "address_not_allowed", None
        try:
            return "gave_up", accounts.authorized_keys(username)
        except RelayError:
            return "unusable_authorized_keys", None

    def _wrong(self, username: str) -> str:
        if username not in self._server.accounts:
            return "unknown_account"
        allowed = self._server.accounts.is_from_where_it_may(username, self.guest.address)
        return "wrong_password" if allowed else "address_not_allowed"

    def _try(self) -> None:
        self._tries += 1
        if self._tries > self._server.limits.tries or self._server.door.is_shut_out(self.guest):
            raise asyncssh.PermissionDenied("Too many tries")

    def _end_after_the_last_try(self) -> None:
        if self._tries >= self._server.limits.tries:
            raise asyncssh.PermissionDenied("Too many tries")

    def _password_refused(self, reason: _Refusal) -> None:
        """Say that a password was refused and charge for it at once: also where the client did not wait for it."""
        if reason is None:
            return
        self._say_refused(reason)
        self._refusal, self._offence, self._settled = None, None, True
        self._be_punished(Offence.REFUSED_LOGIN)

    def _say_refused(self, reason: str) -> None:
        # A user name that is not an account's may be a password typed into the wrong field.
        account = self._claimed if self._claimed in self._server.accounts else None
        emit(
            Event.LANDING_LOGIN_REFUSED,
            session=self._name,
            address=str(self.guest.address),
            reason=reason,
            account=account,
        )

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._server.door.gave_up(self.guest)

    def _be_punished(self, offence: Offence) -> None:
        """Charge the source; a ban ends its other connections, while this one still hears that it was refused."""
        if self._server.door.punish(self.guest, offence):
            self._server.put_out(self.guest.source, but=self)

    def _be_too_slow(self) -> None:
        self._offence = Offence.TOO_SLOW
        self._connection.abort()

    def _be_too_loud(self) -> None:
        self._offence = Offence.BROKEN_PROTOCOL
        self._connection.abort()

    def _offence_of(self, exc: Exception | None) -> Offence | None:
        """Say what a visit without any try to log in was."""
        if _is_broken_protocol(exc):
            return Offence.BROKEN_PROTOCOL
        spoke = self._connection.get_extra_info("client_version") is not None
        return Offence.NO_LOGIN if spoke else None

    # Afterwards

    def session_requested(self) -> tuple[asyncssh.SSHServerChannel[bytes], SftpSession]:
        """Open a session."""
        self._sessions = [session for session in self._sessions if not session.ended]
        if self.account is None or self.account not in self._server.accounts or self._server.stopping:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "Not now")
        if not self._has_room_for_another(self.account):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "Too many sessions")
        session = self._server.new_session(self.account, self._name)
        self._sessions.append(session)
        channel = self._connection.create_server_channel(encoding=None, window=WINDOW)
        # asyncssh would grant each of these by itself, and keep it; a contract test watches that this is the way.
        channel._process_env_request = _refuse  # type: ignore[method-assign]  # noqa: SLF001
        return channel, session

    def _has_room_for_another(self, account: str) -> bool:
        limits, here = self._server.limits, len(self._sessions)
        # The first one is what this connection counts as already.
        in_all = self._server.sessions_of(account) + (here > 0)
        return here < limits.sessions_per_connection and in_all <= limits.sessions_per_account

    def _look_whether_idle(self) -> None:
        """End the connection if its client has done nothing for too long, else look again when it may have."""
        now = self._loop.time()
        active_at = max([self._active_at, *(now if it.is_busy else it.active_at for it in self._sessions)])
        left = active_at + self._server.limits.idle_timeout.total_seconds() - now
        if left <= 0:
            self.hang_up("idle")
        else:
            self._timer = self._loop.call_later(left, self._look_whether_idle)


def _refuse(packet: object) -> bool:  # noqa: ARG001  whatever is in it
    return False


def _is_broken_protocol(exc: Exception | None) -> bool:
    """Say whether a connection ended because its client does not keep to SSH; asyncssh may have stumbled over it."""
    if isinstance(exc, asyncssh.ProtocolError | asyncssh.ProtocolNotSupported | asyncssh.MACError):
        return True
    return exc is not None and not isinstance(exc, asyncssh.Error | OSError)


def _now() -> datetime:
    return datetime.now(UTC)
