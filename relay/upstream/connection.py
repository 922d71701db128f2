"""Logging in at an upstream: its pinned host key, one key or one password, and nothing of the user's own `~/.ssh`."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import asyncssh

from relay import keys
from relay.config import UpstreamSettings
from relay.config.named_files import read_password
from relay.model import Receipt, RelayError
from relay.upstream.directory import RemoteDirectory
from relay.upstream.failures import Reason, Step, UpstreamError, met_while
from relay.upstream.publish import Publication, Upload

# GCM first: the library's own order halves the speed.
_CIPHERS: Final = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
# Beside the pinned kinds, so that a server with none of them shows the key it has and is refused for that. Otherwise
# the two only fail to agree, which on the server's side looks like a connection that breaks off.
_HOST_KEYS: Final = "+ssh-ed25519,ecdsa-sha2-nistp*,rsa-sha2-*"
_KEEPALIVES: Final = 3


class Session:
    """One login at an upstream, for one list after the other."""

    def __init__(self, settings: UpstreamSettings, login: "_Login", connect: timedelta) -> None:
        self._settings = settings
        self._connection = login.connection
        self._directory = RemoteDirectory(login.sftp, settings.directory, settings.stall_timeout.total_seconds())
        self._connect = connect

    @property
    def lost(self) -> bool:
        """Whether the connection is known to have ended."""
        return self._connection.is_closed()

    async def look(self) -> None:
        """See that the upstream's directory can be listed.

        Raises:
            UpstreamError: it cannot.
        """
        await self._directory.list()

    async def publish(self, upload: Upload) -> Receipt:
        """Send one list; when this returns, the upstream has it under its final name.

        The receipt of the session's first list carries the time that connecting took.

        Raises:
            UpstreamError: the upstream has it not, as far as anyone can tell. The session is of no more use then.
        """
        began = time.monotonic()
        published = await Publication(self._directory, upload, self._settings.publish).run()
        connect, self._connect = self._connect, timedelta()
        return Receipt(
            remote_name=upload.remote_name,
            size=upload.draft.size,
            verified=published.verified,
            publish=published.how,
            connect=connect,
            transfer=_since(began),
        )


@asynccontextmanager
async def connect(settings: UpstreamSettings) -> AsyncIterator[Session]:
    """Log in at an upstream, and out again at the end of the body.

    The files of the settings are read anew each time, so that a corrected pin or password takes effect.

    Raises:
        UpstreamError: the login failed, its reason says how.
    """
    began = time.monotonic()
    credentials = await asyncio.to_thread(_read_credentials, settings)
    with met_while(Step.CONNECT):
        async with asyncio.timeout(settings.connect_timeout.total_seconds()):
            login = await _log_in(settings, credentials)
    try:
        yield Session(settings, login, _since(began))
    finally:
        login.connection.close()
        await login.connection.wait_closed()


@dataclass(frozen=True, slots=True)
class _Credentials:
    known_hosts: asyncssh.SSHKnownHosts
    key: asyncssh.SSHKey | None
    password: str | None


@dataclass(frozen=True, slots=True)
class _Login:
    connection: asyncssh.SSHClientConnection
    sftp: asyncssh.SFTPClient


def _read_credentials(settings: UpstreamSettings) -> _Credentials:
    try:
        known_hosts = keys.read_known_hosts(settings.known_hosts, settings.host, settings.port)
        password = read_password(settings.password) if settings.password else None
        passphrase = read_password(settings.passphrase) if settings.passphrase else None
        key = keys.read_client_key(settings.private_key, passphrase) if settings.private_key else None
    except RelayError as error:
        raise UpstreamError(Reason.SETTINGS_UNUSABLE, error.message, hint=error.hint) from None
    return _Credentials(known_hosts, key, password)


async def _log_in(settings: UpstreamSettings, credentials: _Credentials) -> _Login:
    connection = await asyncssh.connect(
        settings.host,
        settings.port,
        username=settings.user,
        known_hosts=credentials.known_hosts,
        server_host_key_algs=_HOST_KEYS,
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
        return _Login(connection, await connection.start_sftp_client())
    except BaseException:
        connection.close()
        raise


def _since(began: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - began)
