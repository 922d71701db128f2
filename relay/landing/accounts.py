"""Who may log in: the accounts' keys and passwords, read from their files again at each login."""

import asyncio
import unicodedata
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from typing import Final

import argon2
import asyncssh

from relay import keys
from relay.config import AccountSettings
from relay.config.named_files import read_password_hash

_CHECKS_AT_ONCE: Final = 2
"""Each takes 64 MiB for its time, so a flood of logins must not have many."""


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password, as an account's `password_hash` file holds it."""
    return argon2.PasswordHasher().hash(_normalised(password))


class Accounts:
    """Proves clients' identities.

    A client cannot tell an unknown account from a wrong password: the same methods are offered, and the same work is
    done.
    """

    def __init__(self, settings: Mapping[str, AccountSettings]) -> None:
        self._settings = settings
        self._decoy = hash_password(token_hex(16))
        self._pool = ThreadPoolExecutor(_CHECKS_AT_ONCE, thread_name_prefix="relay-password")

    def __contains__(self, name: object) -> bool:
        return name in self._settings

    def reload(self, settings: Mapping[str, AccountSettings]) -> None:
        """Use these accounts from the next login on."""
        self._settings = settings

    async def authorized_keys(self, name: str) -> asyncssh.SSHAuthorizedKeys | None:
        """Return the keys that may log in to an account; None where there is no account or it has no keys.

        Raises:
            RelayError: the account's file cannot be used, or has an option that would not be kept.
        """
        account = self._settings.get(name)
        if account is None or account.authorized_keys is None:
            return None
        return await asyncio.to_thread(keys.read_authorized_keys, account.authorized_keys)

    async def is_password(self, name: str, password: str) -> bool:
        """Say whether `password` is the account's. Takes the same time for every account, known or not.

        Raises:
            RelayError: the account's file cannot be used.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._check, name, password)

    def _check(self, name: str, password: str) -> bool:
        account = self._settings.get(name)
        file = account.password_hash if account else None
        expected = self._decoy if file is None else read_password_hash(file)
        try:
            argon2.PasswordHasher().verify(expected, _normalised(password))
        except argon2.exceptions.VerificationError:
            return False
        return file is not None

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False)


def _normalised(password: str) -> str:
    """Bring a password into the form that SSH prescribes, which asyncssh does for one method of login only."""
    return unicodedata.normalize("NFKC", password)
