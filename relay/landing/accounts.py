"""Who may log in: the accounts' keys, passwords and addresses, read from their files again at each login (rule L23)."""

import asyncio
import os
import threading
import unicodedata
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Final, Protocol

import argon2
import argon2.profiles
import asyncssh

from relay import keys
from relay.config import AccountSettings
from relay.config.named_files import read_password_hash
from relay.landing.sources import Address, is_among
from relay.model import RelayError

_CHECKS_AT_ONCE: Final = 2
"""Each takes 64 MiB for its time, so a flood of logins must not have many."""

_NICE: Final = 5
"""How much password checks stand back for everything else that wants a processor, uploads above all."""

_FileState = tuple[int, int, int]


class Verifier(Protocol):
    """What checks passwords: argon2's `PasswordHasher`, or what a test counts with."""

    def verify(self, hash: str, password: str) -> bool:  # noqa: A002  as argon2 calls it
        """Check a password.

        Raises:
            VerificationError: it is another one.
        """


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password, as an account's `password_hash` file holds it."""
    return argon2.PasswordHasher().hash(_normalised(password))


class Accounts:
    """Proves clients' identities.

    A client cannot tell an unknown account from a wrong password: the same methods are offered, the same work is done,
    and the same is said.

    Args:
        settings: the accounts by name.
        verifier: checks passwords.
    """

    def __init__(self, settings: Mapping[str, AccountSettings], verifier: Verifier | None = None) -> None:
        self._verifier = verifier or argon2.PasswordHasher()
        self._read: dict[Path, tuple[_FileState, keys.AuthorizedKeys]] = {}
        self._pool = ThreadPoolExecutor(_CHECKS_AT_ONCE, thread_name_prefix="relay-password", initializer=_stand_back)
        self._decoy = ""
        self._decoy_parameters: argon2.Parameters | None = None
        self.reload(settings)

    def __contains__(self, name: object) -> bool:
        return name in self._settings

    def reload(self, settings: Mapping[str, AccountSettings]) -> None:
        """Use these accounts from the next login on."""
        self._settings = settings
        parameters = _parameters_in_use(settings)
        if parameters != self._decoy_parameters:
            # A hash that nobody knows the password of, and that takes as long to check as the accounts' own.
            self._decoy = argon2.PasswordHasher.from_parameters(parameters).hash(token_hex(16))
            self._decoy_parameters = parameters

    def is_from_where_it_may(self, name: str, address: Address | None) -> bool:
        """Say whether an account may log in from an address; an unknown one may from nowhere."""
        account = self._settings.get(name)
        if account is None or address is None:
            return False
        return account.allow_from is None or is_among(address, account.allow_from)

    def authorized_keys(self, name: str) -> keys.AuthorizedKeys | None:
        """Return the keys that may log in to an account; None where there is no account or it has no keys.

        Quick enough for the event loop: the file is read only when it has changed.

        Raises:
            RelayError: the account's file cannot be used, or has an option that would not be kept.
        """
        account = self._settings.get(name)
        path = account.authorized_keys if account else None
        if path is None:
            return None
        state = _state_of(path)
        known = self._read.get(path)
        if known is None or known[0] != state:
            known = self._read[path] = (state, keys.read_authorized_keys(path))
        return known[1]

    async def is_password(self, name: str, password: str, address: Address | None) -> bool:
        """Say whether `password` is the account's. Does the same work for every account, known or not.

        Raises:
            RelayError: the account's file cannot be used.
        """
        allowed = self.is_from_where_it_may(name, address)
        right = await asyncio.get_running_loop().run_in_executor(self._pool, self._check, name, password)
        return right and allowed

    def _check(self, name: str, password: str) -> bool:
        account = self._settings.get(name)
        file = account.password_hash if account else None
        try:
            expected = self._decoy if file is None else read_password_hash(file)
        except RelayError:
            self._verify(self._decoy, password)
            raise
        return self._verify(expected, password) and file is not None

    def _verify(self, expected: str, password: str) -> bool:
        try:
            return self._verifier.verify(expected, _normalised(password))
        except argon2.exceptions.VerificationError:
            return False

    def close(self) -> None:
        """Let go of the threads, and of the checks that nobody waits for any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def counting_keys(found: keys.AuthorizedKeys | None, now: datetime) -> asyncssh.SSHAuthorizedKeys | None:
    """Return those of an account's keys that have not expired."""
    return None if found is None else found.counting(now)


def _state_of(path: Path) -> _FileState:
    try:
        status = path.stat()
    except OSError as trouble:
        raise RelayError(
            f"{path} cannot be read: {trouble.strerror}", hint="Check the name and its permissions."
        ) from None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _parameters_in_use(settings: Mapping[str, AccountSettings]) -> argon2.Parameters:
    """Return how expensive the accounts' hashes are: those of one operator are all alike, so one of them tells."""
    for account in settings.values():
        if account.password_hash is not None:
            with suppress(RelayError):
                return argon2.extract_parameters(read_password_hash(account.password_hash))
    return argon2.profiles.RFC_9106_LOW_MEMORY


def _stand_back() -> None:
    """Lower the priority of this thread, and of those that argon2 starts from it: Linux has one for each thread."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _normalised(password: str) -> str:
    """Bring a password into the form that SSH prescribes, which asyncssh does for one method of login only."""
    return unicodedata.normalize("NFKC", password)
