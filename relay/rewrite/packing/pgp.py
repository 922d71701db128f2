"""OpenPGP messages, encrypted to the route's key: decrypted to the disk, whole and unchanged (rules K13 and K14).

pysequoia does the cryptography. Its errors have no kinds, only texts, so what can be told beforehand is told from the
message's framing: what it is, for which keys, and whether it is all there.
"""

import errno
import resource
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.model import RelayError
from relay.rewrite.durable import create
from relay.rewrite.packing.armour import SEND_AGAIN, is_armoured, kind_of_armour, taken_off
from relay.rewrite.packing.members import Member
from relay.rewrite.packing.openpgp import Framing, Tag, read_framing
from relay.rewrite.packing.pgpkeys import Keys, read_keys
from relay.rewrite.packing.room import Room
from relay.rewrite.rules import PgpRules
from relay.rewrite.unusable import Unusable, UnusableSource

if TYPE_CHECKING:
    from pysequoia import PyDecryptor

_HEAD: Final = 4096
_FULL: Final = 1024 * 1024
_HIDDEN: Final = "0" * 16
_ENCRYPT_IT: Final = "Have the export encrypted to the public key that belongs to pgp.private_key."


class Decryption:
    """Decrypts messages by a route's keys, which are read when the first one comes."""

    def __init__(self, rules: PgpRules) -> None:
        self._rules = rules

    def decrypt(self, path: Path, room: Room, depth: int) -> Iterator[Member]:
        """Decrypt a message.

        Raises:
            UnusableSource: it is cut off, damaged, unprotected, not encrypted, not encrypted to the route's keys, or
                these cannot be used.
        """
        binary = _without_armour(path, room, depth)
        with binary.open("rb") as file:
            framing = read_framing(file)
        _check_kind(framing)
        _check_whole(framing)
        yield Member(self._decrypted(binary, framing, room, depth))
        if binary != path:
            binary.unlink()

    @cached_property
    def _keys(self) -> Keys:
        if self._rules.private_key is None:
            raise UnusableSource(
                Unusable.NO_KEY,
                "it is encrypted with PGP, and the route has no key to decrypt it",
                'Set pgp.private_key = "FILE", a secret file with the private key, or have exports sent unencrypted.',
            )
        try:
            passphrase = self._rules.passphrase
            return read_keys(Path(self._rules.private_key), None if passphrase is None else Path(passphrase))
        except RelayError as error:
            raise UnusableSource(
                Unusable.UNUSABLE_KEY,
                f"it is encrypted with PGP, and the key in pgp.private_key cannot be used: {error.message}",
                error.hint or "",
            ) from None

    def _decrypted(self, binary: Path, framing: Framing, room: Room, depth: int) -> Path:
        path = room.reserve()
        create(path).close()
        for decryptor in self._fitting(framing):
            if _decrypt(binary, path, decryptor, room, depth):
                room.count(path.stat().st_size, depth)
                return path
        raise UnusableSource(
            Unusable.DAMAGED,
            "the OpenPGP message cannot be decrypted: it is damaged or was changed, is made in a way that is no longer "
            "usual (3DES, bzip2), or, if it hides for whom it is, is not for the route's key",
            f"{SEND_AGAIN} {_ENCRYPT_IT}",
        )

    def _fitting(self, framing: Framing) -> "list[PyDecryptor]":
        """Return what may decrypt a message: the keys that it is encrypted to, or all if it hides them."""
        keys = self._keys
        fitting = [keys.decryptors[key] for key in framing.recipients if key in keys.decryptors]
        if _HIDDEN in framing.recipients:
            fitting += [decryptor for key, decryptor in keys.decryptors.items() if key not in framing.recipients]
        if not fitting:
            raise _no_fitting_key(framing, keys)
        return fitting


def _without_armour(path: Path, room: Room, depth: int) -> Path:
    """Return where the message lies without armour."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if not is_armoured(head):
            return path
        kind = kind_of_armour(head)
        if kind == "SIGNED MESSAGE":
            raise _not_encrypted("a text with a signature")
        if kind != "MESSAGE":
            raise _not_encrypted(f"a {kind.lower()}" if kind else "something unknown")
        file.seek(0)
        return room.write(taken_off(file), depth)


def _check_kind(framing: Framing) -> None:
    first = next((tag for tag in framing.tags if tag != Tag.MARKER), None)
    if first in {Tag.SECRET_KEY, Tag.PUBLIC_KEY}:
        raise _not_encrypted("a key")
    if first in {Tag.SIGNATURE, Tag.ONE_PASS_SIGNATURE, Tag.COMPRESSED, Tag.LITERAL}:
        raise _not_encrypted("only signed or compressed")
    if Tag.UNPROTECTED in framing.tags:
        raise UnusableSource(
            Unusable.UNPROTECTED,
            "the OpenPGP message has no integrity protection: it could have been cut off or changed unnoticed",
            "Have it encrypted with a modification detection code (MDC), as every OpenPGP program has done by default "
            "since 2004.",
        )
    if Tag.GNUPG_AEAD in framing.tags:
        raise UnusableSource(
            Unusable.UNKNOWN_PACKING,
            "the OpenPGP message is encrypted in GnuPG's own way (OCB), which is not in the standard",
            "Have it encrypted with `gpg --rfc4880`, or take AEAD out of the key's preferences.",
        )


def _check_whole(framing: Framing) -> None:
    if framing.is_cut_off or Tag.PROTECTED not in framing.tags:
        raise UnusableSource(
            Unusable.TRUNCATED,
            f"the OpenPGP message is cut off: it ends after {framing.size:,} bytes, within its encrypted data",
            SEND_AGAIN,
        )
    if framing.is_followed or framing.tags[-1] != Tag.PROTECTED:
        raise UnusableSource(
            Unusable.DAMAGED, "something else follows the end of the OpenPGP message's encrypted data", SEND_AGAIN
        )


def _decrypt(source: Path, into: Path, decryptor: "PyDecryptor", room: Room, depth: int) -> bool:
    """Decrypt a message into a file that is there, and say whether that went well.

    Raises:
        UnusableSource: more comes out than the limits allow.
        OSError: the disk is full.
    """
    import pysequoia  # noqa: PLC0415

    most = room.left(depth)
    try:
        with _at_most(most):
            pysequoia.decrypt_file(source, into, decryptor)
    except (OSError, RuntimeError):
        # The library does not say of its errors what they are, not even of the system's.
        if into.stat().st_size >= most:
            room.count(most + 1, depth)
        if shutil.disk_usage(into).free < _FULL:
            raise OSError(errno.ENOSPC, "the disk is full") from None
        return False
    return True


@contextmanager
def _at_most(size: int) -> Iterator[None]:
    """Have the system refuse to make any file larger than `size` meanwhile: the library knows no such limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = size if soft == resource.RLIM_INFINITY else min(size, soft)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _not_encrypted(what: str) -> UnusableSource:
    return UnusableSource(
        Unusable.NOT_ENCRYPTED, f"it is OpenPGP, but {what}; an encrypted message was expected", _ENCRYPT_IT
    )


def _no_fitting_key(framing: Framing, keys: Keys) -> UnusableSource:
    now = datetime.now(UTC)
    for state in keys.states:
        refusal = state.refusal(now)
        if refusal is not None and {state.id, _HIDDEN} & set(framing.recipients):
            return UnusableSource(
                Unusable.UNUSABLE_KEY,
                f"it is encrypted to the key {state.id.upper()}, which {refusal}",
                "Extend the key (`gpg --quick-set-expire`) and put it into pgp.private_key again, or make a new one "
                "and give its public part to whoever encrypts. Then `relay requeue` the export.",
            )
    if not framing.recipients:
        return UnusableSource(Unusable.WRONG_KEY, "it is encrypted with a password, and not to a key", _ENCRYPT_IT)
    return UnusableSource(
        Unusable.WRONG_KEY,
        f"it is encrypted to the key {_listed(framing.recipients)}; the route has "
        f"{_listed(state.id for state in keys.states)}",
        f"{_ENCRYPT_IT} Or put the private key that it is encrypted to into pgp.private_key.",
    )


def _listed(ids: Iterable[str]) -> str:
    return " and ".join("one that it does not tell" if it == _HIDDEN else it.upper() for it in ids)
