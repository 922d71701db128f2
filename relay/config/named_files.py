"""The files that settings name: found, and checked for what they must hold.

A relative name is looked up among systemd's credentials, then beside `relay.toml`. An error never repeats the name of a
file with a password: whoever wrote the password itself in its place must not find it in a log.
"""

import stat
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from relay.config.problems import trouble
from relay.config.reading import is_file, reading_of
from relay.model import RelayError


def _keys() -> ModuleType:
    # Imported only when files are really looked at: it brings asyncssh, which takes its time.
    from relay import keys  # noqa: PLC0415

    return keys


def read_password(path: Path) -> str:
    """Return the first line of a file with a password.

    Raises:
        RelayError: it cannot be read, is not text, or its first line is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RelayError(
            f"the file cannot be read: {error.strerror}", hint="Check that the relay's user may read it."
        ) from None
    except UnicodeDecodeError:
        raise RelayError("the file is not text", hint="Write the password into it as UTF-8.") from None
    if not lines or not lines[0]:
        raise RelayError("the file is empty", hint="Write the password into its first line, nothing else.")
    return lines[0]


def read_password_hash(path: Path) -> str:
    """Return the password hash that a file holds.

    Raises:
        RelayError: it cannot be read, or holds no hash as `relay hash-password` prints it.
    """
    import argon2  # noqa: PLC0415  only where there is a password to check

    text = read_password(path).strip()
    try:
        argon2.extract_parameters(text)
    except argon2.exceptions.InvalidHashError:
        raise RelayError(
            "the file holds no password hash", hint="Write into it what `relay hash-password` prints."
        ) from None
    return text


def check_private_key(path: Path, passphrase: Path | None) -> None:
    """Check that `path` holds a private key that the passphrase in the other file, if there is one, opens.

    Raises:
        PydanticCustomError: it does not.
    """
    _understand(lambda: _keys().read_client_key(path, read_password(passphrase) if passphrase else None))


def check_decryption_key(path: Path, passphrase: Path | None) -> None:
    """Check that `path` holds a PGP key for decryption that the passphrase in the other file, if there is one, opens.

    One that has expired is no problem of the configuration: it must not keep the relay from starting.

    Raises:
        PydanticCustomError: it does not.
    """
    # Imported only where something is encrypted: it brings the cryptography.
    from relay.rewrite.packing.pgpkeys import read_keys  # noqa: PLC0415

    _understand(lambda: read_keys(path, passphrase))


def check_strict_host_keys(paths: Sequence[Path]) -> None:
    """Check that one of the host keys can be offered when algorithms are strict.

    Raises:
        PydanticCustomError: none can.
    """
    _understand(lambda: _keys().check_strict(paths))


def check_known_hosts(path: Path, host: str, port: int) -> None:
    """Check that `path` pins the key of an upstream.

    Raises:
        PydanticCustomError: it does not.
    """
    _understand(lambda: _keys().read_known_hosts(path, host, port))


def _understand(read: Callable[[], object]) -> None:
    """Have a file read, and turn the error into a problem of the setting that named it."""
    try:
        read()
    except RelayError as error:
        raise trouble(error.message, hint=error.hint) from None


def _named_file(
    *, secret: bool, missing: str, read: Callable[[Path], object] | None = None, may_be_shown: bool = True
) -> AfterValidator:
    """Make the validator of a setting that names a file: it resolves the name, and has the file looked at.

    Args:
        secret: whether nobody but the file's owner may read it.
        missing: what to do if it is not there.
        read: reads it, for its errors.
        may_be_shown: whether an error may repeat the name.
    """

    def check(name: Path, info: ValidationInfo) -> Path:
        reading = reading_of(info)
        if reading is None:
            return name
        path = reading.find(name)
        if not reading.with_files:
            return path
        if not is_file(path):
            raise trouble(
                f"there is no file {path}" if may_be_shown else "the file that it names is not there", hint=missing
            )
        # A credential's group bits only mirror the access list by which systemd lets the service's user read it.
        if secret and not reading.is_credential(path) and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise trouble(
                "the file that it names can be read by others", hint="It is for its owner alone: `chmod 600` it."
            )
        if read is not None:
            _understand(partial(read, path))
        return path

    return AfterValidator(check)


PasswordFile = Annotated[
    Path,
    _named_file(
        secret=True,
        may_be_shown=False,
        missing="Name a file (mode 600) beside relay.toml that holds it; the secret itself does not belong here.",
        read=read_password,
    ),
]
PasswordHashFile = Annotated[
    Path,
    _named_file(
        secret=True,
        may_be_shown=False,
        missing="Name a file (mode 600) beside relay.toml that holds what `relay hash-password` prints.",
        read=read_password_hash,
    ),
]
PrivateKeyFile = Annotated[
    Path,
    _named_file(
        secret=True,
        may_be_shown=False,
        missing="Name a file (mode 600) beside relay.toml that holds it; the key itself does not belong here.",
    ),
]
HostKeyFile = Annotated[
    Path,
    _named_file(secret=True, missing="`relay init` makes host keys.", read=lambda path: _keys().load_host_keys([path])),
]
AuthorizedKeysFile = Annotated[
    Path,
    _named_file(
        secret=False,
        missing="Put the public key of whoever logs in into it, one line such as `ssh-ed25519 AAAA… name`.",
        read=lambda path: _keys().read_authorized_keys(path),
    ),
]
KnownHostsFile = Annotated[
    Path,
    _named_file(
        secret=False,
        missing="Put the server's host key into it, as `ssh-keyscan HOST` prints it; compare its fingerprint with the "
        "one that the server's owner tells you.",
    ),
]
