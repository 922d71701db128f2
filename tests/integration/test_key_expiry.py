"""Keys that expire: told in time, and only when with them nobody gets in, or nothing can be opened (rule L28)."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from parts.gnupg import NEEDS_GNUPG, gnupg
from parts.service import Service, Setup, ssh_keygen
from parts.sshd import NEEDS_SSHD, Sshd

from relay.config import Config, load
from relay.expiry import ExpiryWatch
from relay.log import configure

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SOON = "20261201Z"
LATER = "20261231Z"
PAST = "20261101Z"

pytestmark = NEEDS_SSHD


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real sshd in Attentive's place."""
    with Sshd(tmp_path_factory.mktemp("upstream")) as sshd:
        yield sshd


@pytest.fixture
def setup(tmp_path: Path, upstream: Sshd) -> Setup:
    """A configuration with one account, whose one key never expires, and one route."""
    setup = Setup(tmp_path / "relay", upstream)
    setup.route()
    return setup


def public_keys(setup: Setup, *ends: str | None) -> None:
    """Give the account keys that expire at these times; None never does."""
    public = setup.client_key.with_suffix(".pub").read_text()
    other = ssh_keygen(setup.directory / f"key{len(list(setup.directory.iterdir()))}").with_suffix(".pub").read_text()
    lines = [f'expiry-time="{end}" {key}' if end else key for end, key in zip(ends, (public, other), strict=False)]
    (setup.directory / "amperity.pub").write_text("".join(lines))


def told(config: Config, now: datetime = NOW) -> list[dict[str, Any]]:
    """Return what a look at the keys tells."""
    stream = io.StringIO()
    configure(stream)
    ExpiryWatch(config, now=lambda: now).look()
    structlog.reset_defaults()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("ends", "events"),
    [
        ((None,), []),
        ((LATER,), []),
        ((SOON,), ["key.expiring"]),
        ((PAST,), ["key.expired"]),
        ((SOON, LATER), []),
        ((SOON, None), []),
        ((PAST, SOON), ["key.expiring"]),
        ((PAST, None), []),
        ((PAST, PAST), ["key.expired"]),
    ],
)
def test_the_last_key_of_an_account_counts(setup: Setup, ends: tuple[str | None, ...], events: list[str]) -> None:
    """An older key that ends while another goes on is a change of keys as it should be, and nothing to tell."""
    public_keys(setup, *ends)
    lines = told(load(setup.config))
    assert [line["event"] for line in lines] == events
    assert all(line["account"] == "amperity" and "route" not in line for line in lines)


def test_the_line_says_until_when_and_what_to_do(setup: Setup) -> None:
    """Whoever reads it need not look anything up; the key's comment, which may be an address, is not shown."""
    public_keys(setup, SOON)
    (line,) = told(load(setup.config))
    assert line["expires_at"] == "2026-12-01T00:00:00+00:00"
    assert line["detail"] == "the last key of amperity.pub"
    assert "later expiry-time" in line["hint"]


def test_the_notice_is_a_setting(setup: Setup) -> None:
    """Whoever takes longer to change keys is told earlier."""
    public_keys(setup, LATER)
    setup.config.write_text(f'expiry_notice = "60d"\n{setup.config.read_text()}')
    assert [line["event"] for line in told(load(setup.config))] == ["key.expiring"]


def test_an_account_with_a_password_is_never_shut_out(setup: Setup, tmp_path: Path) -> None:
    """Where a password is left, an expired key keeps nobody out: it is a warning."""
    public_keys(setup, PAST)
    config = load(setup.config)
    account = config.accounts["amperity"].model_copy(update={"password_hash": tmp_path / "amperity.hash"})
    assert [line["event"] for line in told(replace(config, accounts={"amperity": account}))] == ["key.expiring"]


def test_a_file_that_cannot_be_read_any_more_is_somebody_elses_trouble(setup: Setup) -> None:
    """A login says so, with its own event; the watch goes on with the other keys."""
    config = load(setup.config)
    (setup.directory / "amperity.pub").unlink()
    assert told(config) == []


@NEEDS_GNUPG
def test_the_last_pgp_key_of_a_route_counts(setup: Setup) -> None:
    """A subkey that ends while another goes on is nothing to tell; the end of the last one is, before and after."""
    with gnupg() as theirs:
        theirs.make_key("relay", subkeys=())
        primary = theirs.fingerprint("relay")
        theirs.run("--passphrase", "", "--quick-add-key", primary, "cv25519", "encr", "20d")
        key = setup.directory / "sirendenim.pgp"
        key.write_bytes(theirs.private_key("relay"))
        key.chmod(0o600)
        setup.route(sections='[pgp]\nprivate_key = "sirendenim.pgp"')
        config, now = load(setup.config), datetime.now(UTC)
        (soon,) = told(config, now)
        assert (soon["event"], soon["route"]) == ("key.expiring", "sirendenim")
        assert [line["event"] for line in told(config, now + timedelta(days=21))] == ["key.expired"]
        theirs.run("--passphrase", "", "--quick-add-key", primary, "cv25519", "encr", "never")
        key.write_bytes(theirs.private_key("relay"))
        assert told(config, now) == []


def test_the_service_tells_at_the_start_and_after_a_reload(setup: Setup) -> None:
    """The running service looks by itself; when the key was replaced, a reload has nothing more to tell."""
    near = datetime.now(UTC) + timedelta(days=3)
    public_keys(setup, f"{near:%Y%m%d}Z")
    with Service(setup) as service:
        service.wait_for("key.expiring", account="amperity")
        public_keys(setup, PAST)
        service.reload()
        service.wait_for("key.expired", account="amperity")
        public_keys(setup, None)
        service.reload()
        service.wait_for("config.reloaded", count=2)
        assert service.stop() == 0
    assert [line["event"] for line in service.lines if line["event"].startswith("key.")] == [
        "key.expiring",
        "key.expired",
    ]
