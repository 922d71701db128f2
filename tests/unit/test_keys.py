"""Key files: host keys are made once and stay, and a file of keys is right in every line or refused with its place."""

import os
import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from relay import keys
from relay.model import RelayError

# The same key each time: it is in the names of tests, on which parallel workers must agree.
ED25519 = asyncssh.import_private_key(
    Ed25519PrivateKey.from_private_bytes(bytes(32)).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
)
NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
PUBLIC = ED25519.export_public_key().decode().strip()

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs openssh-client")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[keys.HostKey]:
    """Host keys, made once for this module: an RSA key takes its time."""
    return keys.generate_host_keys(tmp_path_factory.mktemp("host-keys"))


def write(path: Path, text: str) -> Path:
    """Write a file and return its path."""
    path.write_text(text, encoding="utf-8")
    return path


def test_host_keys_of_three_kinds_are_made(made: list[keys.HostKey]) -> None:
    """Old and new clients find a host key that they understand."""
    assert [(key.path.name, key.algorithm) for key in made] == [
        ("ssh_host_ed25519_key", "ssh-ed25519"),
        ("ssh_host_ecdsa_key", "ecdsa-sha2-nistp256"),
        ("ssh_host_rsa_key", "ssh-rsa"),
    ]


def test_private_keys_are_for_their_owner(made: list[keys.HostKey]) -> None:
    """A private key has mode 600; its public key may be read."""
    for key in made:
        assert stat.S_IMODE(key.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(key.path.with_suffix(".pub").stat().st_mode) == 0o644
        assert key.path.with_suffix(".pub").read_text(encoding="ascii").strip() == key.public


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """A careless or a tight umask changes nothing."""
    before = os.umask(0o777)
    try:
        keys._write_new(tmp_path / "key", b"x", 0o600)  # noqa: SLF001  making three keys here would take its time
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_host_keys_stay(made: list[keys.HostKey]) -> None:
    """Clients pin host keys, so a second run makes none anew; a lost public half is written again."""
    before = {path: path.read_bytes() for path in made[0].path.parent.iterdir()}
    made[0].path.with_suffix(".pub").unlink()
    assert keys.generate_host_keys(made[0].path.parent) == made
    assert {path: path.read_bytes() for path in made[0].path.parent.iterdir()} == before


def test_a_public_key_without_its_private_key_is_trouble(tmp_path: Path) -> None:
    """A new private key would not be the one that clients have pinned."""
    write(tmp_path / "ssh_host_ed25519_key.pub", PUBLIC)
    with pytest.raises(RelayError, match=r"its private key .* is not") as caught:
        keys.generate_host_keys(tmp_path)
    assert "Put the private key back" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["ssh_host_ed25519_key.pub"]


def test_a_directory_that_cannot_be_written_is_trouble(tmp_path: Path) -> None:
    """The error names the file and says what to do."""
    with pytest.raises(RelayError, match=r"ssh_host_ed25519_key cannot be written: No such file") as caught:
        keys.generate_host_keys(tmp_path / "missing")
    assert caught.value.hint


def test_host_keys_are_loaded_in_the_order_given(made: list[keys.HostKey]) -> None:
    """The first is offered first."""
    paths = [key.path for key in reversed(made)]
    assert [key.get_algorithm() for key in keys.load_host_keys(paths)] == [key.algorithm for key in reversed(made)]
    assert keys.fingerprints(paths) == list(reversed(made))


@needs_ssh_keygen
def test_fingerprints_are_those_that_openssh_shows(made: list[keys.HostKey]) -> None:
    """An operator can compare the fingerprint with what a client's ssh shows."""
    for key in made:
        shown = subprocess.run(["ssh-keygen", "-l", "-f", key.path], check=True, capture_output=True, text=True)
        assert shown.stdout.split()[1] == key.fingerprint


def test_a_private_key_is_read(tmp_path: Path) -> None:
    """A key without passphrase opens without one."""
    path = tmp_path / "key"
    path.write_bytes(ED25519.export_private_key())
    assert keys.read_client_key(path).public_data == ED25519.public_data


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
def test_a_passphrase_opens_a_key(tmp_path: Path, form: str) -> None:
    """With the right passphrase a key opens; without one, or with a wrong one, the error says which."""
    path = tmp_path / "key"
    path.write_bytes(ED25519.export_private_key(form, passphrase="open sesame"))
    assert keys.read_client_key(path, "open sesame").public_data == ED25519.public_data
    with pytest.raises(RelayError, match="is not opened by its passphrase"):
        keys.read_client_key(path, "open barley")
    with pytest.raises(RelayError, match="is protected by a passphrase, and none is set"):
        keys.read_client_key(path)


@pytest.mark.parametrize(
    "content", [b"", b"hunter2\n", PUBLIC.encode(), b"\xff\xfe\x00", b"-----BEGIN PRIVATE KEY-----\n"]
)
def test_what_is_no_private_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """The error names the file and does not repeat its content."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(RelayError, match="holds no private key") as caught:
        keys.read_client_key(path)
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_missing_key_is_trouble(tmp_path: Path) -> None:
    """The error says which file and why."""
    with pytest.raises(RelayError, match=r"key cannot be read: No such file"):
        keys.load_host_keys([tmp_path / "key"])


@pytest.mark.parametrize(
    "text",
    [
        PUBLIC,
        f"# Amperity\n\n  {PUBLIC} amperity@example.com\n",
        f'from="192.0.2.0/24,198.51.100.7",restrict {PUBLIC}',
        f'no-pty,from="192.0.2.*,!192.0.2.9,2001:db8::/32" {PUBLIC}',
        f'expiry-time="20301231",no-user-rc {PUBLIC}',
    ],
)
def test_authorized_keys_are_read(tmp_path: Path, text: str) -> None:
    """Comments, blank lines and options that the relay keeps may stand in the file."""
    authorized = keys.read_authorized_keys(write(tmp_path / "keys", text))
    assert isinstance(authorized.counting(NOW), asyncssh.SSHAuthorizedKeys)


@pytest.mark.parametrize(
    ("text", "expires_at"),
    [
        ("20261123Z", datetime(2026, 11, 23, tzinfo=UTC)),
        ("202611230630Z", datetime(2026, 11, 23, 6, 30, tzinfo=UTC)),
        ("20261123063015Z", datetime(2026, 11, 23, 6, 30, 15, tzinfo=UTC)),
        ("202611230630", datetime(2026, 11, 23, 6, 30).astimezone()),
    ],
)
def test_a_key_counts_until_it_expires(tmp_path: Path, text: str, expires_at: datetime) -> None:
    """By each form that OpenSSH has; of several dates the earliest, and others in the file count on."""
    other = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
    lines = f'expiry-time="20991231",expiry-time="{text}" {PUBLIC}\n{other.export_public_key().decode()}'
    found = keys.read_authorized_keys(write(tmp_path / "keys", lines))
    key = ED25519.convert_to_public()
    before, at = found.counting(expires_at - timedelta(seconds=1)), found.counting(expires_at)
    assert before is not None
    assert at is not None
    assert before.validate(key, "", "192.0.2.1") is not None
    assert at.validate(key, "", "192.0.2.1") is None
    assert at.validate(other, "", "192.0.2.1") is not None
    assert found.has_expired(key, expires_at)
    assert not found.has_expired(key, expires_at - timedelta(seconds=1))
    assert not found.has_expired(other, expires_at)


def test_when_all_keys_have_expired_none_counts(tmp_path: Path) -> None:
    """The file is right all the same: it was, and time goes on."""
    found = keys.read_authorized_keys(write(tmp_path / "keys", f'expiry-time="20200101" {PUBLIC}'))
    assert found.counting(NOW) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ssh-ed25519 AAAA amperity", "this is no public key"),
        (PUBLIC[:-8], "this is no public key"),
        ("hunter2", "this is no public key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----", "this is no public key"),
        (f'from="192.0.2.1 {PUBLIC}', "this is no public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "this is a private key"),
        (f'expiry-time="tomorrow" {PUBLIC}', "the expiry-time tomorrow is no date"),
        (f'expiry-time="20261332" {PUBLIC}', "the expiry-time 20261332 is no date"),
        (f"expiry-time {PUBLIC}", "the option expiry-time would not be kept"),
        (f'EXPIRY-TIME="20200101" {PUBLIC}', "the option EXPIRY-TIME would not be kept"),
        (f"from {PUBLIC}", "the option from would not be kept"),
        (f'from="*.example.com" {PUBLIC}', r"from=\*.example.com would match no client"),
        (f'from="192.0.2.1,192.0.2.1/24" {PUBLIC}', "from=192.0.2.1/24 would match no client"),
        (f'restrict="yes" {PUBLIC}', "the option restrict would not be kept"),
        (f'permitopen="*:*" {PUBLIC}', "the option permitopen would not be kept"),
        (f"verify-required {PUBLIC}", "the option verify-required would not be kept"),
        (f'from="192.0.2.1",command="/bin/true" {PUBLIC}', "the option command would not be kept"),
        (f"cert-authority {PUBLIC}", "the option cert-authority would not be kept"),
    ],
)
def test_a_line_that_would_be_skipped_or_not_kept_is_refused(tmp_path: Path, line: str, message: str) -> None:
    """In silence asyncssh skips a broken line and an unknown option; the error here names the line."""
    with pytest.raises(RelayError, match=rf"keys, line 3: {message}") as caught:
        keys.read_authorized_keys(write(tmp_path / "keys", f"# first\n{PUBLIC}\n{line}\n"))
    assert "hunter2" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(("algorithm", "parameters"), [("ssh-rsa", {"key_size": 1024}), ("ssh-dss", {})])
def test_a_weak_key_is_refused(tmp_path: Path, algorithm: str, parameters: dict[str, Any]) -> None:
    """DSA, or RSA of fewer than 2048 bits: nobody should be let in by those."""
    weak = asyncssh.generate_private_key(algorithm, **parameters).export_public_key().decode()
    with pytest.raises(RelayError, match="line 1: this key is too weak") as caught:
        keys.read_authorized_keys(write(tmp_path / "keys", weak))
    assert caught.value.hint


def test_strict_algorithms_need_a_host_key_that_they_offer(tmp_path: Path) -> None:
    """An ECDSA key alone would leave the landing zone without one."""
    for name, algorithm in (("ecdsa", "ecdsa-sha2-nistp256"), ("ed25519", "ssh-ed25519")):
        (tmp_path / name).write_bytes(asyncssh.generate_private_key(algorithm).export_private_key())
    with pytest.raises(RelayError, match="strict algorithms need an Ed25519 or RSA host key"):
        keys.check_strict([tmp_path / "ecdsa"])
    keys.check_strict([tmp_path / "ecdsa", tmp_path / "ed25519"])


def test_a_file_without_a_key_is_refused(tmp_path: Path) -> None:
    """An account whose file is empty would lock its client out."""
    with pytest.raises(RelayError, match="has no key"):
        keys.read_authorized_keys(write(tmp_path / "keys", "# none yet\n"))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """A file of another kind is not searched for lines."""
    path = tmp_path / "keys"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RelayError, match="is not text"):
        keys.read_authorized_keys(path)


@pytest.mark.parametrize(
    ("line", "port"),
    [
        (f"sftp.example.com {PUBLIC}", 22),
        (f"other.example.com,sftp.example.com {PUBLIC}", 22),
        (f"[sftp.example.com]:2022 {PUBLIC}", 2022),
        (f"*.example.com {PUBLIC}", 22),
        (f"@cert-authority *.example.com {PUBLIC}", 22),
    ],
)
def test_known_hosts_has_the_upstream(tmp_path: Path, line: str, port: int) -> None:
    """A host is found by its name, with its port if that is another than 22, or by a pattern."""
    hosts = keys.read_known_hosts(write(tmp_path / "hosts", f"# pinned\n{line}\n"), "sftp.example.com", port)
    assert isinstance(hosts, asyncssh.SSHKnownHosts)


@needs_ssh_keygen
def test_a_hashed_host_is_found(tmp_path: Path) -> None:
    """Files in which ssh hashed the names can be used."""
    path = write(tmp_path / "hosts", f"sftp.example.com {PUBLIC}\n")
    subprocess.run(["ssh-keygen", "-H", "-f", path], check=True, capture_output=True)
    assert "sftp.example.com" not in path.read_text(encoding="utf-8")
    keys.read_known_hosts(path, "sftp.example.com", 22)


@pytest.mark.parametrize(
    "line",
    [f"other.example.com {PUBLIC}", f"[sftp.example.com]:2022 {PUBLIC}", f"@revoked sftp.example.com {PUBLIC}", ""],
)
def test_an_upstream_that_is_not_pinned_is_refused(tmp_path: Path, line: str) -> None:
    """Without a key of the host every connection would fail, so it is said before the first (rule U6)."""
    with pytest.raises(RelayError, match=r"has no key for sftp.example.com, port 22") as caught:
        keys.read_known_hosts(write(tmp_path / "hosts", line), "sftp.example.com", 22)
    assert "`ssh-keyscan sftp.example.com`" in caught.value.hint


@pytest.mark.parametrize(
    "line",
    ["sftp.example.com", "sftp.example.com ssh-ed25519 AAAA", PUBLIC, f"@trusted sftp.example.com {PUBLIC}", "@"],
)
def test_a_line_that_is_no_known_host_is_refused(tmp_path: Path, line: str) -> None:
    """A pinned key with a slip in it would be skipped in silence."""
    with pytest.raises(RelayError, match=r"hosts, line 2: this is no line of a known_hosts file") as caught:
        keys.read_known_hosts(
            write(tmp_path / "hosts", f"sftp.example.com {PUBLIC}\n{line}\n"), "sftp.example.com", 2022
        )
    assert "`ssh-keyscan -p 2022 sftp.example.com`" in caught.value.hint
