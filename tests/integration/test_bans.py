"""`relay bans` and `relay unban`, on a real state and beside the real service."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import paramiko
import pytest
from parts.host import Host, a_host
from parts.landing import PATIENCE, until
from parts.service import Service, Setup, relay
from parts.sftp import NEEDS_SFTP
from parts.sshd import NEEDS_SSHD, Sshd

from relay.model import Ban


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose landing zone has shut two sources out, and a third in the past."""
    with a_host(tmp_path) as host:
        now = host.books.now
        for source, minutes in (("203.0.113.7/32", 9), ("2001:db8::/64", 5), ("198.51.100.1/32", -1)):
            ban = Ban(source, "refused_login", now - timedelta(minutes=2), now + timedelta(minutes=minutes))
            host.books.store.keep_bans([ban], now - timedelta(minutes=2))
        yield host


def test_who_is_shut_out_is_listed(host: Host) -> None:
    """With the reason and until when; what is over is not there."""
    shown = host.run("bans")
    assert shown.exit_code == 0
    assert [line.split()[:2] for line in shown.stdout.splitlines()] == [
        ["source", "reason"],
        ["2001:db8::/64", "refused_login"],
        ["203.0.113.7/32", "refused_login"],
    ]
    assert [list(ban) for ban in host.document("bans")] == [["source", "reason", "banned_at", "until"]] * 2


@pytest.mark.parametrize("address", ["203.0.113.7", "203.0.113.7/32", "203.0.113.0/24"])
def test_an_address_or_a_network_is_let_in_again(host: Host, address: str) -> None:
    """As `relay bans` shows it or as anybody would write it; the history has the operator's name."""
    said = host.run("unban", address, SUDO_USER="jo")
    assert said.exit_code == 0
    assert said.stdout.startswith("203.0.113.7/32 is let in again")
    assert [ban["source"] for ban in host.document("bans")] == ["2001:db8::/64"]
    (transition,) = host.books.store.unlogged()
    assert transition.fields["operator"] == "jo"


def test_an_address_stands_for_its_prefix(host: Host) -> None:
    """Nobody needs to know how many bits make a source."""
    assert host.run("unban", "2001:db8::17", "203.0.113.7").exit_code == 0
    assert host.run("bans").stdout == "nobody is shut out\n"


@pytest.mark.parametrize("address", ["198.51.100.1", "203.0.113.8", "example.com", "jane"])
def test_what_is_not_shut_out_cannot_be_let_in(host: Host, address: str) -> None:
    """It is said for each, and the others are let in all the same."""
    said = host.run("unban", address, "203.0.113.7")
    assert said.exit_code == 1
    assert address in said.stderr
    assert "hint: " in said.stderr
    assert [ban["source"] for ban in host.document("bans")] == ["2001:db8::/64"]


def is_dropped(port: int) -> bool:
    """Try a wrong password on the real service, and say whether the connection was dropped before the greeting."""
    with suppress(paramiko.SSHException, EOFError, OSError):
        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.7", 0)))
        try:
            transport.start_client(timeout=PATIENCE)
        except (paramiko.SSHException, EOFError):
            return True
        with suppress(paramiko.SSHException):
            transport.auth_password("amperity", "wrong", fallback=False)
        transport.close()
        return False
    return True


@NEEDS_SSHD
@NEEDS_SFTP
def test_beside_the_service_a_ban_is_seen_and_lifted(tmp_path: Path) -> None:
    """From wrong passwords to `relay unban` and its line in the log, without a restart."""
    with Sshd(tmp_path / "sshd") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        with Service(setup) as service:
            port = service.port
            until(lambda: is_dropped(port), "the source to be shut out")
            assert service.wait_for("landing.address_banned")["source"] == "127.0.0.7/32"
            until(lambda: json.loads(relay(setup, "bans", "--json").stdout) != [], "the ban to be kept")
            assert relay(setup, "unban", "127.0.0.7").returncode == 0
            assert service.wait_for("landing.address_unbanned")["source"] == "127.0.0.7/32"
            until(lambda: not is_dropped(port), "the source to be let in")
            assert service.stop() == 0
