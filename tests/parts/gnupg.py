"""GnuPG with a home of its own: the keys and messages that the other side would make."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

NEEDS_GNUPG = pytest.mark.skipif(shutil.which("gpg") is None, reason="needs gnupg")


@dataclass(frozen=True)
class GnuPG:
    """A keyring, in which each person has one key."""

    home: Path

    def run(self, *arguments: str, given: bytes = b"") -> bytes:
        """Run gpg and return what it prints."""
        environment = os.environ | {"GNUPGHOME": str(self.home)}
        options = ("--batch", "--quiet", "--no-tty", "--trust-model", "always", "--pinentry-mode", "loopback")
        ran = subprocess.run(
            ["gpg", *options, *arguments], input=given, env=environment, capture_output=True, check=True
        )
        return ran.stdout

    def make_key(self, person: str, *, passphrase: str = "", subkeys: tuple[str, ...] = ("cv25519",)) -> None:
        """Make somebody's key, with a subkey for encryption of each kind given."""
        words = ("--passphrase", passphrase)
        self.run(*words, "--quick-gen-key", f"{person} <{person}@example.com>", "ed25519", "cert,sign", "never")
        for kind in subkeys:
            self.run(*words, "--quick-add-key", self.fingerprint(person), kind, "encr", "never")

    def fingerprint(self, person: str) -> str:
        """The fingerprint of somebody's primary key."""
        listed = self.run("--with-colons", "--list-keys", f"{person}@example.com").decode().splitlines()
        return next(line.split(":")[9] for line in listed if line.startswith("fpr:"))

    def subkeys(self, person: str) -> list[str]:
        """The ids of somebody's subkeys, in the order in which they were made."""
        listed = self.run("--with-colons", "--list-keys", f"{person}@example.com").decode().splitlines()
        return [line.split(":")[4] for line in listed if line.startswith("sub:")]

    def private_key(self, person: str, *, passphrase: str = "", armoured: bool = True) -> bytes:
        """Somebody's private key, as gpg exports it."""
        armour = ("--armor",) if armoured else ()
        return self.run("--passphrase", passphrase, *armour, "--export-secret-keys", f"{person}@example.com")

    def encrypt(self, content: bytes, *options: str, to: str) -> bytes:
        """Encrypt to a person, or to a key whose id ends in `!`."""
        recipient = to if to.endswith("!") else f"{to}@example.com"
        return self.run(*options, "--recipient", recipient, "--encrypt", given=content)


@contextmanager
def gnupg() -> Iterator[GnuPG]:
    """Give a keyring; its agent ends with it."""
    # Not below pytest's directory: the path of the agent's socket must be short.
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        try:
            yield GnuPG(Path(home))
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=False, capture_output=True)
