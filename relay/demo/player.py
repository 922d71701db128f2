"""Plays Amperity: logs in to the relay's landing zone with its key and uploads an export, as a scheduled run does."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from relay.model import RelayError


@dataclass(frozen=True, slots=True)
class Player:
    """Amperity's side of the connection: where the landing zone is, and what to log in with.

    `private_key` and `known_hosts` are files; an unknown host key is refused, as Amperity can be told to.
    """

    host: str
    port: int
    user: str
    private_key: Path
    known_hosts: Path

    async def upload(self, file: Path, path: str) -> None:
        """Upload `file` under the absolute `path` and return when the relay has confirmed custody of it.

        Raises:
            RelayError: it was not taken.
        """
        try:
            async with self._connected() as connection, connection.start_sftp_client() as sftp:
                # By default `put` leaves out what it takes for holes at a file's end.
                await sftp.put(str(file), path, sparse=False)
        except (OSError, asyncssh.Error) as error:
            raise RelayError(
                f"Amperity could not upload {path}: {type(error).__name__}", hint="See what the relay logged."
            ) from error

    def _connected(self) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
        return asyncssh.connect(
            self.host,
            self.port,
            username=self.user,
            client_keys=[str(self.private_key)],
            known_hosts=str(self.known_hosts),
            config=None,
            agent_path=None,
        )


def write_key_pair(private_key: Path, public_key: Path) -> None:
    """Make Amperity's key: the private one to log in with, the public one for the account's `authorized_keys`."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment="amperity@demo")
    private_key.touch(mode=0o600)
    key.write_private_key(str(private_key))
    key.write_public_key(str(public_key))
