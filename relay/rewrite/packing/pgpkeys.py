"""The private keys by which exports are decrypted: read, opened by their passphrase, and what of them can be used.

One key file may hold several keys, and each key several subkeys: a message may be encrypted to an older one for a while
after a newer one was given out.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.model import RelayError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pysequoia import PyDecryptor
    from pysequoia.packet import Packet

_EXPORT_IT: Final = "Write into it what `gpg --export-secret-keys KEY` prints, with or without --armor."


@dataclass(frozen=True, slots=True)
class KeyState:
    """One key or subkey that messages can be encrypted to: its id, and until when it can be used."""

    id: str
    expires_at: datetime | None
    revoked: bool

    def refusal(self, now: datetime) -> str | None:
        """Say why the key cannot be used, None if nothing is known against it."""
        if self.revoked:
            return "is revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return f"expired on {self.expires_at:%Y-%m-%d}"
        return None


@dataclass(frozen=True, slots=True)
class Keys:
    """What a key file holds: every key for encryption, and what decrypts with those that can be used, by their ids."""

    states: tuple[KeyState, ...]
    decryptors: "Mapping[str, PyDecryptor]"


def read_keys(private_key: Path, passphrase: Path | None, now: datetime | None = None) -> Keys:
    """Read the private keys in a file.

    Args:
        private_key: a file with one key or several, armoured or not.
        passphrase: a file whose first line opens them, if they are protected.
        now: the time at which keys are to be valid; now, by default.

    Raises:
        RelayError: there is no private key for decryption in it, or the passphrase does not open it.
    """
    packets = _packets(private_key)
    words = None if passphrase is None else _first_line(passphrase)
    states: list[KeyState] = []
    decryptors: dict[str, PyDecryptor] = {}
    for certificate, key in _components(packets):
        state = _state(certificate, key)
        if state is None:
            continue
        states.append(state)
        if state.refusal(now or datetime.now(UTC)) is None:
            decryptors[state.id] = _decryptor([*certificate, *key], state.id, words)
    if not states:
        raise RelayError("none of the keys in the file can decrypt", hint="See that the key has an encryption subkey.")
    return Keys(tuple(states), decryptors)


def _packets(path: Path) -> "list[Packet]":
    from pysequoia.packet import PacketPile, Tag  # noqa: PLC0415  only where something is encrypted

    try:
        packets = list(PacketPile.from_bytes(path.read_bytes()))
    except OSError as error:
        raise RelayError(
            f"the file cannot be read: {error.strerror}", hint="Check that the relay's user may read it."
        ) from None
    except RuntimeError:
        raise RelayError("the file holds no OpenPGP key", hint=_EXPORT_IT) from None
    if not packets or packets[0].tag != Tag.SecretKey:
        is_public = bool(packets) and packets[0].tag == Tag.PublicKey
        what = "a public key; the private one is needed" if is_public else "no OpenPGP private key"
        raise RelayError(f"the file holds {what}", hint=_EXPORT_IT)
    return packets


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RelayError(
            f"the passphrase's file cannot be read: {error.strerror}", hint="Check that the relay's user may read it."
        ) from None
    return lines[0] if lines else ""


def _components(packets: "Sequence[Packet]") -> "Iterator[tuple[list[Packet], list[Packet]]]":
    """Yield each key with the certificate that it is part of: a primary key by itself, a subkey behind its primary.

    The library takes only the first subkey of a key that it is given, so each is given to it as the only one.
    """
    from pysequoia.packet import Tag  # noqa: PLC0415

    certificate: list[Packet] = []
    keys: list[list[Packet]] = []
    for packet in packets:
        if packet.tag in (Tag.SecretKey, Tag.PublicKey):
            yield from ((certificate, key) for key in keys)
            certificate, keys = [], [[]]
        elif packet.tag in (Tag.SecretSubkey, Tag.PublicSubkey):
            keys.append([])
        (keys[-1] if len(keys) > 1 else certificate).append(packet)
    yield from ((certificate, key) for key in keys)


def _state(certificate: "Sequence[Packet]", key: "Sequence[Packet]") -> KeyState | None:
    """Return what is known of a key, None if it is not for encryption."""
    from pysequoia.packet import SignatureType, Tag  # noqa: PLC0415

    own = key or certificate
    if own[0].tag not in (Tag.SecretKey, Tag.SecretSubkey):
        return None
    flags = [it.key_flags for it in _newest_first(own) if it.key_flags is not None]
    if not flags or not (flags[0].transport_encryption or flags[0].storage_encryption):
        return None
    revocations = (SignatureType.KeyRevocation, SignatureType.SubkeyRevocation)
    ends = [end for end in (_expiry(certificate), _expiry(own)) if end is not None]
    return KeyState(
        id=own[0].key_id or "",
        expires_at=min(ends, default=None),
        revoked=any(it.signature_type in revocations for it in (*certificate, *key)),
    )


def _expiry(key: "Sequence[Packet]") -> datetime | None:
    """Return when a key ends according to its newest binding."""
    newest = next(iter(_newest_first(key)), None)
    if newest is None or newest.key_validity_period is None or key[0].key_created is None:
        return None
    return key[0].key_created + newest.key_validity_period


def _newest_first(key: "Sequence[Packet]") -> "list[Packet]":
    from pysequoia.packet import Tag  # noqa: PLC0415

    bindings = [it for it in key if it.tag == Tag.Signature and it.key_flags is not None]
    return sorted(bindings, key=lambda it: it.signature_created or datetime.min.replace(tzinfo=UTC), reverse=True)


def _decryptor(packets: "list[Packet]", key_id: str, words: str | None) -> "PyDecryptor":
    from pysequoia import Tsk  # noqa: PLC0415

    # A passphrase for a key that needs none is no trouble.
    for attempt in (None,) if words is None else (words, None):
        try:
            return Tsk.from_packets(packets).decryptor(attempt)
        except RuntimeError:
            continue
    if words is None:
        raise RelayError(
            f"the key {key_id.upper()} does not open without a passphrase",
            hint='Set pgp.passphrase = "FILE", a secret file with it. If the key has none, make a new key pair: it is '
            "made in a way that is no longer considered secure.",
        )
    raise RelayError(
        f"the passphrase does not open the key {key_id.upper()}", hint="Put the key's passphrase into its first line."
    )
