"""Who may log in: the same work and the same answer for everybody (rule L23)."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from ipaddress import ip_address
from pathlib import Path

import argon2
import pytest

from relay.config import AccountSettings
from relay.landing.accounts import Accounts, hash_password
from relay.landing.sources import Address
from relay.model import RelayError

HERE = ip_address("203.0.113.7")
CHEAP = argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)


class CountingVerifier:
    """Argon2, with a count of what was checked against which hash."""

    def __init__(self) -> None:
        self.checked: list[str] = []

    def verify(self, hash: str, password: str) -> bool:  # noqa: A002  as argon2 calls it
        """Count, and check."""
        self.checked.append(hash)
        return argon2.PasswordHasher().verify(hash, password)


@pytest.fixture
def verifier() -> CountingVerifier:
    """What checks passwords."""
    return CountingVerifier()


@pytest.fixture
def accounts(tmp_path: Path, verifier: CountingVerifier) -> Iterator[Accounts]:
    """One account with a password, one from one network only, one with a broken file, one with keys only."""
    (tmp_path / "hash").write_text(CHEAP.hash("right"), encoding="ascii")
    (tmp_path / "broken").write_text("not a hash", encoding="ascii")
    accounts = Accounts(
        {
            "amperity": AccountSettings(name="amperity", password_hash=tmp_path / "hash"),
            "elsewhere": AccountSettings.model_validate(
                {"name": "elsewhere", "password_hash": tmp_path / "hash", "allow_from": ["192.0.2.0/24"]}
            ),
            "broken": AccountSettings(name="broken", password_hash=tmp_path / "broken"),
            "keys": AccountSettings(name="keys", authorized_keys=tmp_path / "keys"),
        },
        verifier,
    )
    yield accounts
    accounts.close()


def is_password(accounts: Accounts, name: str, password: str, address: Address | None = HERE) -> bool:
    """Check a password."""
    return asyncio.run(accounts.is_password(name, password, address))


def test_a_password_is_right_for_its_account_from_where_it_may(accounts: Accounts) -> None:
    """And for nobody else."""
    assert is_password(accounts, "amperity", "right")
    assert not is_password(accounts, "amperity", "wrong")
    assert not is_password(accounts, "keys", "right")
    assert not is_password(accounts, "nobody", "right")
    assert not is_password(accounts, "elsewhere", "right")
    assert is_password(accounts, "elsewhere", "right", ip_address("192.0.2.1"))
    assert not is_password(accounts, "elsewhere", "right", None)


@pytest.mark.parametrize("name", ["amperity", "elsewhere", "keys", "nobody", "broken"])
def test_the_same_work_is_done_whatever_is_wrong(accounts: Accounts, verifier: CountingVerifier, name: str) -> None:
    """One check of a hash as expensive as the accounts' own: so the time tells nobody which accounts there are."""
    # The broken file is told of, but only after the work.
    with pytest.raises(RelayError) if name == "broken" else nullcontext():
        assert not is_password(accounts, name, "wrong")
    (checked,) = verifier.checked
    assert argon2.extract_parameters(checked) == argon2.extract_parameters(CHEAP.hash("x"))


def test_a_hash_is_argon2id() -> None:
    """As RFC 9106 recommends it for memory-constrained hosts; the password is brought into one form before."""
    hashed = hash_password("ﬁne")
    assert argon2.extract_parameters(hashed).type is argon2.Type.ID
    assert argon2.PasswordHasher().verify(hashed, "fine")


def test_keys_are_read_when_their_file_has_changed(tmp_path: Path, accounts: Accounts) -> None:
    """And only then; one that cannot be read is trouble at once."""
    assert accounts.authorized_keys("nobody") is None
    assert accounts.authorized_keys("amperity") is None
    path = tmp_path / "keys"
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
    path.write_text(f"{line}\n", encoding="ascii")
    first = accounts.authorized_keys("keys")
    assert first is not None
    assert accounts.authorized_keys("keys") is first
    path.write_text(f"{line}\nrestrict {line}\n", encoding="ascii")
    second = accounts.authorized_keys("keys")
    assert second is not None
    assert len(second.keys) == 2
