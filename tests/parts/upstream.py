"""A scripted SFTP upstream on loopback: a real server in this event loop, whose misbehaviour a test writes down."""

# ruff: noqa: ANN401  asyncssh leaves these types open

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import asyncssh
from asyncssh import SFTPAttrs, SFTPError, SFTPName, SFTPServer, SSHServerChannel, SSHServerConnection
from asyncssh.constants import FXF_WRITE

from relay.config import UpstreamSettings

USER = "sirendenim"
PASSWORD = "correct horse"
DIRECTORY = "/uploads"

Login = Literal["key", "password", "keyboard-interactive"]
Operation = Literal["open", "write", "close", "stat", "read", "rename", "remove", "list", "posix-rename", "setstat"]
"""`open` is for writing, `read` stands for all that reading a file back takes."""


@dataclass
class Fault:
    """What happens at an operation instead of, or beside, what should.

    Args:
        operation: where it happens.
        act: what happens; what it raises is the answer.
        after: whether it happens when the operation was done already.
        skip: how many such operations go well first.
        times: how often it happens then; None is always.
    """

    operation: Operation
    act: Callable[["ScriptedUpstream"], Awaitable[None]]
    after: bool = False
    skip: int = 0
    times: int | None = 1

    async def strike(self, upstream: "ScriptedUpstream") -> None:
        """Happen, if it is time."""
        if self.skip:
            self.skip -= 1
        elif self.times is None or self.times:
            self.times = self.times and self.times - 1
            await self.act(upstream)


def refuse(operation: Operation, status: int, *, skip: int = 0, times: int | None = None) -> Fault:
    """Answer `operation` with an SFTP status."""

    async def act(_: "ScriptedUpstream") -> None:
        raise SFTPError(status, "no")

    return Fault(operation, act, skip=skip, times=times)


def drop(operation: Operation, *, after: bool = False, skip: int = 0, times: int | None = 1) -> Fault:
    """Cut every connection at `operation`, before it or after it was done."""

    async def act(upstream: "ScriptedUpstream") -> None:
        upstream.drop_connections()
        await asyncio.Event().wait()

    return Fault(operation, act, after=after, skip=skip, times=times)


def stall(operation: Operation, *, skip: int = 0) -> Fault:
    """Never answer `operation`, nor anything after it in that session."""

    async def act(_: "ScriptedUpstream") -> None:
        await asyncio.Event().wait()

    return Fault(operation, act, skip=skip)


def meanwhile(operation: Operation, deed: Callable[[Path], object], *, after: bool = False, skip: int = 0) -> Fault:
    """Have somebody else do something in the upstream's directory, right before `operation` or right after."""

    async def act(upstream: "ScriptedUpstream") -> None:
        deed(upstream.uploads)

    return Fault(operation, act, after=after, skip=skip)


@dataclass
class ScriptedUpstream:
    """The server, in use as an asynchronous context manager.

    Args:
        root: a directory of this server's own.
        faults: what goes wrong.
        login: how it lets `USER` in; `key` takes `client_key`, the others the password in the file `password`.
        sftp: whether it offers SFTP at all.
        password_expired: whether it demands another password than the right one.
    """

    root: Path
    faults: tuple[Fault, ...] = ()
    login: Login = "key"
    sftp: bool = True
    password_expired: bool = False
    operations: list[tuple[str, str]] = field(default_factory=list)
    """Every operation asked for, with the name of its file, in order."""
    sessions: int = 0
    """How many connections were made."""
    tries: int = 0
    """How many passwords were tried."""
    port: int = 0
    user: str = field(init=False, default=USER)
    directory: str = field(init=False, default=DIRECTORY)

    def __post_init__(self) -> None:
        self.uploads = self.root / "server" / DIRECTORY.strip("/")
        self.uploads.mkdir(parents=True)
        self.client_key = self.root / "client_key"
        self.known_hosts = self.root / "known_hosts"
        self.password = self.root / "password"
        self.password.write_text(f"{PASSWORD}\n", encoding="utf-8")
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._key.write_private_key(self.client_key)
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._connections: set[SSHServerConnection] = set()
        self._listener: asyncssh.SSHAcceptor | None = None
        self._files: list[Any] = []

    async def __aenter__(self) -> Self:
        self._listener = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self._host_key],
            server_factory=partial(_Door, self),
            sftp_factory=partial(_Answers, self) if self.sftp else None,
        )
        self.port = self._listener.get_port()
        self.pin_host_key()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop_connections()
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
        # asyncssh's server leaves a file open that a write is stuck in.
        for file in self._files:
            file.close()

    def settings(self, **changes: object) -> UpstreamSettings:
        """The settings of an upstream that is this server, with `changes`."""
        settings = {
            "name": "attentive",
            "host": "127.0.0.1",
            "port": self.port,
            "user": USER,
            "known_hosts": self.known_hosts,
            "directory": DIRECTORY,
            **({"private_key": self.client_key} if self.login == "key" else {"password": self.password}),
        }
        return UpstreamSettings.model_validate({**settings, **changes})

    def pin_host_key(self) -> None:
        """Write `known_hosts` for the host key and the port that the server has now."""
        public = self._host_key.export_public_key().decode().strip()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n", encoding="utf-8")

    def drop_connections(self) -> None:
        """Cut every connection off at once."""
        for connection in tuple(self._connections):
            connection.abort()

    def received(self) -> dict[str, bytes]:
        """What lies in the upstream's directory: name and content."""
        return {path.name: path.read_bytes() for path in sorted(self.uploads.iterdir())}

    def asked_for(self, operation: Operation) -> list[str]:
        """The names that `operation` was asked for, in order."""
        return [name for asked, name in self.operations if asked == operation]

    @property
    def connections(self) -> int:
        """How many connections there are now."""
        return len(self._connections)

    def connected(self, connection: SSHServerConnection) -> None:
        """Count a connection in."""
        self.sessions += 1
        self._connections.add(connection)

    def disconnected(self, connection: SSHServerConnection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)

    def lets_in(self, key: asyncssh.SSHKey) -> bool:
        """Say whether `key` is the one that may log in."""
        return key == self._key.convert_to_public()

    async def play(self, operation: Operation, path: bytes, answer: Callable[[], Any]) -> Any:
        """Answer an operation as the script says."""
        self.operations.append((operation, Path(os.fsdecode(path)).name))
        for fault in self.faults:
            if fault.operation == operation and not fault.after:
                await fault.strike(self)
        result = answer()
        if operation in {"open", "read"}:
            self._files.append(result)
        for fault in self.faults:
            if fault.operation == operation and fault.after:
                await fault.strike(self)
        return result


class _Door(asyncssh.SSHServer):
    """Who may come in."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self._upstream = upstream
        self._connection: SSHServerConnection | None = None

    def connection_made(self, conn: SSHServerConnection) -> None:
        self._connection = conn
        self._upstream.connected(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncssh's signature
        if self._connection is not None:
            self._upstream.disconnected(self._connection)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002  asyncssh's signature
        return True

    def public_key_auth_supported(self) -> bool:
        return self._upstream.login == "key"

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and self._upstream.lets_in(key)

    def password_auth_supported(self) -> bool:
        return self._upstream.login == "password"

    def validate_password(self, username: str, password: str) -> bool:
        self._upstream.tries += 1
        if self._upstream.password_expired:
            raise asyncssh.PasswordChangeRequired("Your password has expired.")
        return (username, password) == (USER, PASSWORD)

    def kbdint_auth_supported(self) -> bool:
        return self._upstream.login == "keyboard-interactive"

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:  # noqa: ARG002
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return self.validate_password(username, *responses)


class _Answers(SFTPServer):
    """What it answers: what asyncssh's own server would, unless the script says otherwise."""

    def __init__(self, upstream: ScriptedUpstream, chan: "SSHServerChannel[bytes]") -> None:
        super().__init__(chan, chroot=os.fsencode(upstream.root / "server"))
        self._upstream = upstream

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Any:
        operation: Operation = "open" if pflags & FXF_WRITE else "read"
        return await self._upstream.play(operation, path, partial(super().open, path, pflags, attrs))

    async def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        return await self._upstream.play("write", file_obj.name, partial(super().write, file_obj, offset, data))

    async def close(self, file_obj: Any) -> Any:
        close = partial(super().close, file_obj)
        return await self._upstream.play("close", file_obj.name, close) if file_obj.writable() else close()

    async def stat(self, path: bytes) -> Any:
        return await self._upstream.play("stat", path, partial(super().stat, path))

    async def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        return await self._upstream.play("rename", newpath, partial(super().rename, oldpath, newpath))

    async def remove(self, path: bytes) -> Any:
        return await self._upstream.play("remove", path, partial(super().remove, path))

    async def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        names: AsyncIterator[SFTPName] = await self._upstream.play("list", path, partial(super().scandir, path))
        async for name in names:
            yield name

    # What the relay must never ask for: not done, and noted with everything else that was asked for.

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:  # noqa: ARG002  asyncssh's signature
        await self._upstream.play("posix-rename", newpath, _deny)

    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> Any:  # noqa: ARG002  asyncssh's signature
        await self._upstream.play("setstat", path, _deny)

    async def fsetstat(self, file_obj: Any, attrs: SFTPAttrs) -> Any:  # noqa: ARG002  asyncssh's signature
        await self._upstream.play("setstat", file_obj.name, _deny)


def _deny() -> None:
    raise asyncssh.SFTPPermissionDenied("no")
