"""A stand-in for Attentive's SFTP server, for the demo only: it takes files and does nothing with them.

It is asyncssh's stock server on the loopback interface, shut into one directory. It shows what the relay sends; it says
nothing about what Attentive would make of it.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import asyncssh

_HOST: Final = "127.0.0.1"
_USER: Final = "sirendenim"


class StandIn:
    """Serves `root`/uploads by SFTP on a free loopback port, to one user with a password made up for the occasion.

    Args:
        root: the directory that the client sees as `/`; it is made if need be.
        received: called with a file's name whenever one gets its final name.
    """

    def __init__(self, root: Path, received: Callable[[str], None]) -> None:
        self.host = _HOST
        self.user = _USER
        self.password = secrets.token_urlsafe(16)
        self.uploads = root / "uploads"
        self._root = root
        self._received = received
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._acceptor: asyncssh.SSHAcceptor

    async def __aenter__(self) -> Self:
        self.uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._acceptor = await asyncssh.listen(
            _HOST,
            0,
            server_factory=lambda: _OneUser(self.user, self.password, self._connections),
            server_host_keys=[self._host_key],
            sftp_factory=lambda channel: _Directory(channel, self._root, self._received),
            allow_scp=False,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_pty=False,
            config=None,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._acceptor.close()
        for connection in list(self._connections):
            connection.abort()
        await self._acceptor.wait_closed()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._acceptor.get_port()

    @property
    def known_hosts(self) -> str:
        """The line of a known_hosts file that pins its host key (rule U6)."""
        return f"[{_HOST}]:{self.port} {self._host_key.export_public_key().decode().strip()}\n"


class _OneUser(asyncssh.SSHServer):
    """Lets one user in, by password, as Attentive does."""

    def __init__(self, user: str, password: str, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._user = user
        self._password = password
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.add(conn)
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  however it ended
        self._connections.discard(self._connection)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username == self._user and secrets.compare_digest(password, self._password)


class _Directory(asyncssh.SFTPServer):
    """asyncssh's stock SFTP server in one directory; it tells when a file gets its final name."""

    def __init__(
        self, channel: "asyncssh.SSHServerChannel[bytes]", root: Path, received: Callable[[str], None]
    ) -> None:
        super().__init__(channel, chroot=bytes(root))
        self._received = received

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        super().rename(oldpath, newpath)
        self._received(Path(newpath.decode()).name)
