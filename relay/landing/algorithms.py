"""Algorithms: what the landing zone offers to speak, in two profiles (rule L26).

Each list is explicit, so that what is offered does not change with a library; `deploy/ssh-audit` has the policy that a
test holds each profile to, and `docs/landing.md` the reason for every name.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import asyncssh

from relay.keys import STRICT_HOST_KEYS

Profile = Literal["compatible", "strict"]

_RSA_SIGNATURES: Final = (b"rsa-sha2-512", b"rsa-sha2-256")

_STRICT: Final = {
    "kex_algs": ["mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org"],
    # GCM first: it is the fastest by far here. No chacha20, which clients would prefer and asyncssh is slow at.
    "encryption_algs": [
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    ],
    "mac_algs": ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"],
    "signature_algs": [
        "ssh-ed25519",
        "sk-ssh-ed25519@openssh.com",
        "rsa-sha2-512",
        "rsa-sha2-256",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ],
}

# What Java clients of some age need: JSch as Debian has it knows neither curve25519 nor the newer kind of MAC. No
# Diffie-Hellman without curves: it costs the server more than the client, which is an attack of its own (DHEat).
_COMPATIBLE: Final = {
    **_STRICT,
    "kex_algs": [
        *_STRICT["kex_algs"],
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
    ],
    "mac_algs": [*_STRICT["mac_algs"], "hmac-sha2-256", "hmac-sha2-512"],
}

OFFERED: Final[Mapping[Profile, Mapping[str, Any]]] = MappingProxyType({"compatible": _COMPATIBLE, "strict": _STRICT})
"""The options of asyncssh by which each profile is offered."""


def offered_host_keys(keys: Iterable[asyncssh.SSHKey], profile: Profile) -> list[asyncssh.SSHKey]:
    """Return the host keys that a profile offers, none of which signs with SHA-1."""
    offered = [key for key in keys if profile == "compatible" or key.get_algorithm() in STRICT_HOST_KEYS]
    for key in offered:
        if key.get_algorithm() == "ssh-rsa":
            # SHA-1 goes only this way: the option for signature algorithms does not reach host keys.
            key.sig_algorithms = _RSA_SIGNATURES
    return offered
