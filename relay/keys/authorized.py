"""Who may log in to an account by key: a file of public keys in OpenSSH's form, whose options are kept (rule L24).

asyncssh skips what it does not understand, silently: a mistyped line locks a client out, an expiry date is not kept. So
each line is judged here before asyncssh is given it.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

import asyncssh

from relay.keys.reading import is_public_key, lines_of
from relay.model import RelayError

_LEAST_RSA_BITS: Final = 2048

_OPTION = re.compile(r'([A-Za-z0-9-]+)(?:="((?:\\.|[^"\\])*)")?(?:,|$)')
_OPTIONS = re.compile(r'((?:[^\s"]|"(?:\\.|[^"\\])*")+)\s+(.*)')
_FORBIDDING: Final = frozenset(
    ["restrict", "no-pty", "no-port-forwarding", "no-agent-forwarding", "no-X11-forwarding", "no-user-rc"]
)
"""Options that only forbid what is never allowed here: so they are kept whatever becomes of them."""

_ADDRESS_PATTERN = re.compile(r"!?[0-9A-Fa-f:.*?]+(?:/[0-9]{1,3})?")
_EXPIRY = re.compile(r"([0-9]{8})([0-9]{4})?([0-9]{2})?(Z)?")


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """One line of a file of public keys, and the instant from which it does not count any more."""

    line: str
    expires_at: datetime | None

    def counts(self, now: datetime) -> bool:
        """Say whether it may log in at this instant."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class AuthorizedKeys:
    """The public keys that may log in to an account."""

    keys: tuple[AuthorizedKey, ...]

    def counting(self, now: datetime) -> asyncssh.SSHAuthorizedKeys | None:
        """Return those that have not expired, None if that is none of them."""
        lines = tuple(key.line for key in self.keys if key.counts(now))
        return _imported(lines) if lines else None

    def has_expired(self, key: asyncssh.SSHKey, now: datetime) -> bool:
        """Say whether a key would have been one of them in its time."""
        lines = tuple(it.line for it in self.keys if not it.counts(now))
        return any(key == asyncssh.import_public_key(_key_of(line)) for line in lines)


@lru_cache(maxsize=256)
def _imported(lines: tuple[str, ...]) -> asyncssh.SSHAuthorizedKeys:
    # Kept, because each login asks: a known account must not take longer about it than an unknown one.
    return asyncssh.import_authorized_keys("\n".join(lines))


def read_authorized_keys(path: Path) -> AuthorizedKeys:
    """Read the public keys that may log in to an account.

    The options `from`, `expiry-time` and those that only forbid something may stand before a key, and are kept.

    Raises:
        RelayError: a line is no public key in OpenSSH's form, or has an option that would not be kept.
    """
    found = tuple(_authorized_key(f"{path}, line {number}", line) for number, line in lines_of(path))
    if not found:
        raise RelayError(
            f"{path} has no key", hint="Put the client's public key into it, one line such as `ssh-ed25519 AAAA… name`."
        )
    return AuthorizedKeys(found)


def _authorized_key(where: str, line: str) -> AuthorizedKey:
    if "PRIVATE KEY" in line:
        raise RelayError(
            f"{where}: this is a private key",
            hint="Only public keys belong into this file. Have the client make a new pair; this key has been seen.",
        )
    options, key = _parted(line)
    if not is_public_key(key):
        raise RelayError(
            f"{where}: this is no public key",
            hint="A key is a line such as `ssh-ed25519 AAAA… name`; `ssh-keygen -i -f FILE` turns other forms into it.",
        )
    if _is_weak(asyncssh.import_public_key(key)):
        raise RelayError(
            f"{where}: this key is too weak",
            hint="Have the client make an Ed25519, ECDSA or RSA key (2048 bits or more), such as by `ssh-keygen -t "
            "ed25519`.",
        )
    expiries = [_kept_option(where, name, value) for name, value in _named_options(options)]
    return AuthorizedKey(line, min((it for it in expiries if it is not None), default=None))


def _is_weak(key: asyncssh.SSHKey) -> bool:
    if key.get_algorithm() == "ssh-rsa":
        return int(getattr(key.pyca_key, "key_size", 0)) < _LEAST_RSA_BITS
    return key.get_algorithm() == "ssh-dss"


def _parted(line: str) -> tuple[str, str]:
    """Part a line into the options before the key, and the key."""
    match = None if is_public_key(line) else _OPTIONS.fullmatch(line)
    return (match[1], match[2]) if match else ("", line)


def _key_of(line: str) -> str:
    return _parted(line)[1]


def _named_options(options: str) -> Iterator[tuple[str, str | None]]:
    for match in _OPTION.finditer(options):
        yield match[1], match[2]


def _kept_option(where: str, name: str, value: str | None) -> datetime | None:
    """Check that an option is one that will be kept, and return when the key expires if it says so."""
    if name == "expiry-time" and value is not None:
        return _expiry(where, value)
    if name == "from" and value is not None:
        _check_from(where, value)
    elif name not in _FORBIDDING or value is not None:
        raise RelayError(
            f"{where}: the option {name} would not be kept",
            hint='Only from="…", expiry-time="…" and options that forbid something, such as restrict, may stand before '
            "a key.",
        )
    return None


def _expiry(where: str, text: str) -> datetime:
    """Return the instant that `YYYYMMDD[HHMM[SS]][Z]` means: without Z in the system's time zone, as for OpenSSH."""
    match = _EXPIRY.fullmatch(text)
    day, minute, second, universal = match.groups() if match else ("", "", "", "")
    try:
        local = datetime.strptime(f"{day}{minute or '0000'}{second or '00'}", "%Y%m%d%H%M%S")  # noqa: DTZ007  see below
        return local.replace(tzinfo=UTC) if universal else local.astimezone()
    except ValueError:
        raise RelayError(
            f"{where}: the expiry-time {text} is no date",
            hint='Write expiry-time="20301231" or "203012312359", with a Z behind it for UTC.',
        ) from None


def _check_from(where: str, patterns: str) -> None:
    """Check that each pattern can match an address: names of hosts are never looked up, so one would lock out."""
    for pattern in patterns.split(","):
        if _ADDRESS_PATTERN.fullmatch(pattern) is None or not _is_network_if_it_looks_so(pattern.lstrip("!")):
            raise RelayError(
                f"{where}: from={pattern} would match no client",
                hint="Write addresses, networks such as 192.0.2.0/24 or patterns such as 192.0.2.*, parted by commas; "
                "host names are not looked up.",
            )


def _is_network_if_it_looks_so(pattern: str) -> bool:
    if "/" not in pattern:
        return True
    try:
        ipaddress.ip_network(pattern)
    except ValueError:
        return False
    return True
