"""Logging in at an upstream: its pinned host key, one key or one password, and nothing of the user's own `~/.ssh`."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast
from weakref import WeakKeyDictionary

import asyncssh

from relay import keys
from relay.config import UpstreamSettings
from relay.config.named_files import read_password
from relay.model import Receipt, RelayError
from relay.upstream.client import SftpClient
from relay.upstream.directory import RemoteDirectory
from relay.upstream.failures import Reason, Step, UpstreamError, met_while
from relay.upstream.publish import Publication, Upload

# GCM first: the library's own order halves the speed.
_CIPHERS: Final = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
# Beside the pinned kinds, so that a server with none of them shows the key it has and is refused for that. Otherwise
# the two only fail to agree, which on the server's side looks like a connection that breaks off.
_HOST_KEYS: Final = "+ssh-ed25519,ecdsa-sha2-nistp*,rsa-sha2-*"
_KEEPALIVES: Final = 3


class StaleSessionError(Exception):
    """A session that has served before has ended meanwhile. Nothing was begun: a fresh one can do it."""


async def _nothing() -> None:
    pass


class Session:
    """One login at an upstream, for one list after the other and for several at a time."""

    def __init__(self, settings: UpstreamSettings, login: "_Login", connect: timedelta) -> None:
        self._settings = settings
        self._login = login
        self._mode = settings.publish
        self._connect = connect
        self._served = False
        self._begun = 0
        # As long as whoever asked for an upload still knows of it.
        self._publications: WeakKeyDictionary[Upload, Publication] = WeakKeyDictionary()
        self.directory = RemoteDirectory(login.sftp, settings.directory)

    @property
    def lost(self) -> bool:
        """Whether it is known to be of no more use."""
        return self._login.sftp.over or self._login.connection.is_closed()

    def answers_to(self, upload: Upload | None) -> int:
        """How many answers the upstream has given that bring this upload on; one more is progress."""
        publication = self._publication_of(upload)
        return self.directory.answers + (publication.answers if publication else 0)

    @property
    def host_key(self) -> str:
        """The host key that the upstream has proved, and its fingerprints."""
        key = self._login.connection.get_server_host_key()
        return keys.described(key) if key is not None else ""

    @property
    def unpinned_keys(self) -> tuple[str, ...]:
        """Further host keys that the upstream has proved by now, none of which is pinned."""
        return tuple(map(keys.described, self._login.client.unpinned))

    def unanswered_of(self, upload: Upload) -> str | None:
        """What the next attempt is to know of this upload (`Upload.unanswered`); what it knew itself if none began."""
        publication = self._publication_of(upload)
        return upload.unanswered if publication is None else publication.unanswered

    async def publish(self, upload: Upload, note_direct: Callable[[], Awaitable[None]] = _nothing) -> Receipt:
        """Send one list; when this returns, the upstream has it under its final name. Several may be under way.

        The receipt of the session's first list carries the time that connecting took. `note_direct` is called before
        anything is written under the final name.

        Raises:
            StaleSessionError: the session has served before and is of no more use; nothing was begun.
            UpstreamError: the upstream has it not, as far as anyone can tell. Nothing more should be begun here then.
        """
        began = time.monotonic()
        directory = RemoteDirectory(self._login.sftp, self._settings.directory)
        publication = Publication(directory, upload, self._mode, note_direct)
        self._publications[upload] = publication
        present = await self._first_look(publication)
        self._begun += 1
        published = await publication.run(present)
        self._begun -= 1  # Where it failed it stays begun: this session is no more to be taken for one at rest.
        if published.how == "direct":
            # A server that refused to rename one list need not be asked with the next.
            self._mode = "direct"
        connect, self._connect = self._connect, timedelta()
        return Receipt(
            remote_name=upload.remote_name,
            size=upload.draft.size,
            verified=published.verified,
            publish=published.how,
            connect=connect,
            transfer=_since(began),
        )

    async def _first_look(self, publication: Publication) -> int | None:
        """Look, which also verifies that a connection which has served before still stands."""
        try:
            present = await publication.look()
        except UpstreamError as error:
            # What is lost while another list is on its way is lost to trouble, and not while nobody looked.
            is_stale = self._served and not self._begun
            if is_stale and error.reason in {Reason.CONNECTION_LOST, Reason.STALLED}:
                raise StaleSessionError from error
            raise
        self._served = True
        return present

    def _publication_of(self, upload: Upload | None) -> Publication | None:
        return self._publications.get(upload) if upload else None


@asynccontextmanager
async def connect(settings: UpstreamSettings) -> AsyncIterator[Session]:
    """Log in at an upstream, and out again at the end of the body.

    The files of the settings are read anew each time, so that a corrected pin or password takes effect.

    Raises:
        UpstreamError: the login failed, its reason says how.
    """
    began = time.monotonic()
    credentials = await asyncio.to_thread(_read_credentials, settings)
    client = _Client()
    with met_while(Step.CONNECT):
        async with asyncio.timeout(settings.connect_timeout.total_seconds()):
            try:
                login = await _log_in(settings, credentials, client)
            except asyncssh.Error as error:
                raise client.explain(credentials.pinned) or error from None
    try:
        yield Session(settings, login, _since(began))
    finally:
        login.connection.close()
        await login.connection.wait_closed()


class _Client(asyncssh.SSHClient):
    """What the library asks and tells while it logs in."""

    def __init__(self) -> None:
        self.unpinned: tuple[asyncssh.SSHKey, ...] = ()
        self._refused: asyncssh.SSHKey | None = None
        self._password_expired = False

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Keep the key that is not pinned, to show it."""
        self._refused = key
        return False

    def password_change_requested(self, prompt: str, lang: str) -> tuple[str, str]:  # noqa: ARG002
        """Change no password: it is the operator's to set."""
        self._password_expired = True
        return cast("tuple[str, str]", NotImplemented)

    def host_keys_announced(self, added: Iterable[asyncssh.SSHKey], *_: object) -> None:
        """Keep what else the server has proved to be its own."""
        self.unpinned = tuple(added)

    def explain(self, pinned: Iterable[asyncssh.SSHKey]) -> UpstreamError | None:
        """Say more of why the login failed than the library's exception does, where more is known."""
        if self._refused is not None:
            known = " or ".join(map(keys.described, pinned))
            return UpstreamError(
                Reason.HOST_KEY_REFUSED, f"the server shows {keys.described(self._refused)}; pinned is {known}"
            )
        if self._password_expired:
            return UpstreamError(Reason.PASSWORD_EXPIRED, "the server demands that the password be changed")
        return None


@dataclass(frozen=True, slots=True)
class _Credentials:
    known_hosts: asyncssh.SSHKnownHosts
    pinned: tuple[asyncssh.SSHKey, ...]
    key: asyncssh.SSHKey | None
    password: str | None


@dataclass(frozen=True, slots=True)
class _Login:
    client: _Client
    connection: asyncssh.SSHClientConnection
    sftp: SftpClient


def _read_credentials(settings: UpstreamSettings) -> _Credentials:
    try:
        known_hosts = keys.read_known_hosts(settings.known_hosts, settings.host, settings.port)
        pinned = keys.pinned(known_hosts, settings.host, settings.port)
        password = read_password(settings.password) if settings.password else None
        passphrase = read_password(settings.passphrase) if settings.passphrase else None
        key = keys.read_client_key(settings.private_key, passphrase) if settings.private_key else None
    except RelayError as error:
        raise UpstreamError(Reason.SETTINGS_UNUSABLE, error.message, hint=error.hint) from None
    return _Credentials(known_hosts, pinned, key, password)


async def _log_in(settings: UpstreamSettings, credentials: _Credentials, client: _Client) -> _Login:
    connection = await asyncssh.connect(
        settings.host,
        settings.port,
        client_factory=lambda: client,
        username=settings.user,
        known_hosts=credentials.known_hosts,
        server_host_key_algs=_HOST_KEYS,
        server_host_keys_handler=client.host_keys_announced,
        # None, not an empty list: for an empty one the library takes the keys in ~/.ssh.
        client_keys=[credentials.key] if credentials.key else None,
        password=credentials.password,
        # Keyboard-interactive is how some servers ask for that same password; nobody is ever asked for another.
        preferred_auth=["publickey", "password", "keyboard-interactive"],
        # Whatever else the library would look for beside these settings: its configuration file, an agent, X.509 and
        # Kerberos.
        config=None,
        agent_path=None,
        x509_trusted_certs=None,
        x509_trusted_cert_paths=[],
        gss_host=None,
        encryption_algs=_CIPHERS,
        compression_algs=["none"],
        login_timeout=settings.connect_timeout.total_seconds(),
        # Slower than the deadline of a request, which tells a stall from a lost connection.
        keepalive_interval=settings.stall_timeout.total_seconds(),
        keepalive_count_max=_KEEPALIVES,
    )
    try:
        sftp = SftpClient(settings.stall_timeout.total_seconds())
        await connection.create_session(lambda: sftp, subsystem="sftp", encoding=None)
        await sftp.greet()
    except BaseException as trouble:
        lost = connection.is_closed()
        connection.close()
        if lost and isinstance(trouble, asyncssh.ChannelOpenError):
            # Said of a session that is refused, too; but here nobody was left to refuse it.
            raise asyncssh.ConnectionLost("while the session was opened") from trouble
        raise
    return _Login(client, connection, sftp)


def _since(began: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - began)
