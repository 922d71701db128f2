"""Key files: host keys made and read, and every file of keys checked as strictly as the relay relies on it.

asyncssh skips what it does not understand in these files, silently: a mistyped line locks a client out, an expiry date
is not kept. So each line is judged here before asyncssh is given the file.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncssh

from relay.keys.authorized import AuthorizedKey, AuthorizedKeys, read_authorized_keys
from relay.keys.reading import content_of, is_public_key, lines_of
from relay.model import RelayError

__all__ = [
    "HOST_KEY_NAMES",
    "SECRET_MODE",
    "STRICT_HOST_KEYS",
    "AuthorizedKey",
    "AuthorizedKeys",
    "HostKey",
    "check_strict",
    "fingerprints",
    "generate_host_keys",
    "load_host_keys",
    "read_authorized_keys",
    "read_client_key",
    "read_known_hosts",
]

SECRET_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644
_DEFAULT_PORT: Final = 22

HOST_KEY_NAMES: Final = {
    "ssh_host_ed25519_key": ("ssh-ed25519", {}),
    "ssh_host_ecdsa_key": ("ecdsa-sha2-nistp256", {}),
    "ssh_host_rsa_key": ("ssh-rsa", {"key_size": 3072}),
}
"""The host keys that `generate_host_keys` makes: old JVM clients need the ECDSA or the RSA one."""

STRICT_HOST_KEYS: Final = frozenset(["ssh-ed25519", "ssh-rsa"])
"""The kinds of host keys that the landing zone offers when its algorithms are strict (rule L26)."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """The public side of a host key: its private file, algorithm, public key in one line, and SHA-256 fingerprint."""

    path: Path
    algorithm: str
    public: str
    fingerprint: str


def generate_host_keys(directory: Path) -> list[HostKey]:
    """Make the host keys that are not in `directory` yet; those that are stay as they are.

    Each is a pair of files, such as `ssh_host_ed25519_key` (mode 0600) and `ssh_host_ed25519_key.pub`.

    Raises:
        RelayError: a key that is there cannot be read, or a public key is there without its private key.
    """
    made = []
    for name, (algorithm, parameters) in HOST_KEY_NAMES.items():
        path, public = directory / name, directory / f"{name}.pub"
        if not path.exists():
            if public.exists():
                raise RelayError(
                    f"{public} is there, but its private key {path} is not",
                    hint="Put the private key back; if it is lost, remove the public key, and a new pair is made.",
                )
            key = asyncssh.generate_private_key(algorithm, comment=f"relay {name}", **parameters)
            _write_new(path, key.export_private_key(), SECRET_MODE)
        key = _read_private_key(path, None)
        if not public.exists():
            _write_new(public, key.export_public_key(), _PUBLIC_MODE)
        made.append(_public_side(path, key))
    return made


def load_host_keys(paths: Iterable[Path]) -> list[asyncssh.SSHKey]:
    """Read private host keys, in the order in which they are offered.

    Raises:
        RelayError: a file cannot be read, holds no private key, or is protected by a passphrase.
    """
    return [_read_private_key(path, None) for path in paths]


def check_strict(paths: Iterable[Path]) -> None:
    """Check that there is a host key that can be offered when algorithms are strict.

    Raises:
        RelayError: there is none, or as `load_host_keys`.
    """
    if not any(key.get_algorithm() in STRICT_HOST_KEYS for key in load_host_keys(paths)):
        raise RelayError(
            "strict algorithms need an Ed25519 or RSA host key, and there is none",
            hint='Add one to host_keys (`relay init` makes both), or set algorithms = "compatible".',
        )


def fingerprints(paths: Iterable[Path]) -> list[HostKey]:
    """Return the public side of each private host key, with its fingerprint as `ssh-keygen -l` shows it.

    Raises:
        RelayError: as `load_host_keys`.
    """
    paths = list(paths)
    return [_public_side(path, key) for path, key in zip(paths, load_host_keys(paths), strict=True)]


def read_client_key(path: Path, passphrase: str | None = None) -> asyncssh.SSHKey:
    """Read the private key with which the relay logs in at an upstream.

    Raises:
        RelayError: the file cannot be read, holds no private key, or the passphrase is missing or wrong.
    """
    return _read_private_key(path, passphrase)


def read_known_hosts(path: Path, host: str, port: int) -> asyncssh.SSHKnownHosts:
    """Read the pinned host keys of an upstream.

    Raises:
        RelayError: a line cannot be understood, or no line is about `host` and `port`.
    """
    for number, line in lines_of(path):
        if not _is_known_host(line):
            raise RelayError(
                f"{path}, line {number}: this is no line of a known_hosts file",
                hint=f"Each line is as `{_keyscan(host, port)}` prints it: host, algorithm and key.",
            )
    hosts = asyncssh.read_known_hosts(str(path))
    keys, authorities, *_ = hosts.match(host, "", None if port == _DEFAULT_PORT else port)
    if not keys and not authorities:
        raise RelayError(
            f"{path} has no key for {host}, port {port}",
            hint=f"Run `{_keyscan(host, port)}`, compare the fingerprint with the one that the upstream's owner tells "
            "you, and append the line.",
        )
    return hosts


def pinned(hosts: asyncssh.SSHKnownHosts, host: str, port: int) -> tuple[asyncssh.SSHKey, ...]:
    """Return the keys that are pinned for `host` and `port`: the current one, and perhaps the next."""
    return tuple(hosts.match(host, "", None if port == _DEFAULT_PORT else port)[0])


def described(key: asyncssh.SSHKey) -> str:
    """Return a public key's algorithm and fingerprint in both forms, as `ssh-keygen -l` and `-l -E md5` show them."""
    return f"{key.get_algorithm()} {key.get_fingerprint()} ({key.get_fingerprint('md5')})"


def _keyscan(host: str, port: int) -> str:
    return f"ssh-keyscan {host}" if port == _DEFAULT_PORT else f"ssh-keyscan -p {port} {host}"


def _is_known_host(line: str) -> bool:
    key = line.split(None, 2 if line.startswith("@") else 1)[-1]
    try:
        asyncssh.import_known_hosts(line)
    except ValueError:
        return False
    return is_public_key(key)


def _read_private_key(path: Path, passphrase: str | None) -> asyncssh.SSHKey:
    data = content_of(path)
    try:
        return asyncssh.import_private_key(data, passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        if not _is_encrypted(data):
            raise RelayError(
                f"{path} holds no private key",
                hint="A private key begins with a line such as -----BEGIN OPENSSH PRIVATE KEY-----.",
            ) from None
    wrong = "is protected by a passphrase, and none is set" if passphrase is None else "is not opened by its passphrase"
    raise RelayError(
        f"{path} {wrong}", hint="Set the right passphrase, or remove it from a copy of the key with `ssh-keygen -p`."
    )


def _is_encrypted(data: bytes) -> bool:
    """Say whether `data` is a private key behind a passphrase: it says so itself, or refuses a wrong one."""
    try:
        asyncssh.import_private_key(data, "?")
    except asyncssh.KeyEncryptionError:
        return True
    except asyncssh.KeyImportError:
        return b"ENCRYPTED" in data
    return False


def _public_side(path: Path, key: asyncssh.SSHKey) -> HostKey:
    public = key.export_public_key().decode().strip()
    return HostKey(path, key.get_algorithm(), public, key.get_fingerprint())


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not be there yet, with exactly `mode`, durably."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123  a descriptor
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RelayError(
            f"{path} cannot be written: {error.strerror}", hint="Run this as a user who may write there."
        ) from None
