"""A right configuration on disk, made without any program but the relay's own: to be read, and to be spoilt."""

import functools
from pathlib import Path
from typing import Final

import argon2
import asyncssh

RELAY_TOML: Final = """\
state_dir = "/var/lib/relay"

[landing]
listen = ["127.0.0.1:2222"]
host_keys = ["ssh_host_ed25519_key"]

[accounts.amperity]
authorized_keys = "amperity.pub"
password_hash = "amperity.hash"

[upstreams.attentive]
host = "sftp.example.com"
user = "sirendenim"
password = "attentive.password"
known_hosts = "attentive.known_hosts"
"""

ROUTE_TOML: Final = """\
account = "amperity"
path = "/uploads/sirendenim/**"
upstream = "attentive"
client_domain = "sirendenim"
identifier = "phone"
"""

PASSWORD: Final = "open sesame"
SECRETS: Final = ("ssh_host_ed25519_key", "amperity.hash", "attentive.password")


def write_configuration(directory: Path) -> Path:
    """Write a configuration with one account, one upstream and one route, and the files that it names."""
    files = {
        "relay.toml": RELAY_TOML,
        "routes.d/sirendenim.toml": ROUTE_TOML,
        "ssh_host_ed25519_key": _key().export_private_key().decode(),
        "amperity.pub": _public_key(),
        "amperity.hash": f"{_password_hash()}\n",
        "attentive.password": f"{PASSWORD}\n",
        "attentive.known_hosts": f"sftp.example.com {_public_key()}",
    }
    (directory / "routes.d").mkdir(parents=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    for name in SECRETS:
        (directory / name).chmod(0o600)
    return directory / "relay.toml"


@functools.cache
def _key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def _public_key() -> str:
    return _key().export_public_key().decode()


@functools.cache
def _password_hash() -> str:
    return argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
