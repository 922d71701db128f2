"""`relay check --connect` and `relay resume` against real servers, as an operator uses them."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncssh.constants import FX_FAILURE, FX_PERMISSION_DENIED
from parts.service import Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd
from parts.upstream import Operation, ScriptedUpstream, drop, refuse

from relay.store import Store
from relay.upstream import Findings, probe

pytestmark = NEEDS_SSHD

LIST = b"2125550101,VIP\n2125550102,VIP\n"


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Sshd]:
    """A real sshd in Attentive's place."""
    with Sshd(tmp_path / "upstream") as sshd:
        yield sshd


@pytest.fixture
def setup(tmp_path: Path, upstream: Sshd) -> Setup:
    """A configuration for it."""
    setup = Setup(tmp_path / "relay", upstream)
    setup.route()
    return setup


def fingerprints(public: Path) -> list[str]:
    """A key's fingerprints, as OpenSSH itself shows them."""
    shown = [
        subprocess.run(["ssh-keygen", "-l", *form, "-f", str(public)], check=True, capture_output=True, text=True)
        for form in ([], ["-E", "md5"])
    ]
    return [it.stdout.split()[1] for it in shown]


def test_a_look_says_what_may_be_done_and_leaves_nothing_behind(setup: Setup, upstream: Sshd) -> None:
    """The host key in both forms, every step, and the publish mode that follows; nothing of others is touched."""
    said = relay(setup, "check", "--connect")
    assert said.returncode == 0, said.stdout + said.stderr
    for words in ("log in: yes", "list: yes", "write: yes", "read back: yes", "rename: yes", "remove: yes"):
        assert words in said.stdout
    for fingerprint in fingerprints(upstream.root / "host_key.pub"):
        assert fingerprint in said.stdout
    assert "complete under the final name, or absent" in said.stdout
    assert "Not kept for `relay status`" in said.stdout
    assert upstream.received() == {}


def test_what_was_found_is_kept_and_shown_in_status(setup: Setup) -> None:
    """Whoever looks at the status sees which promise this upstream allows, and since when that is known."""
    setup.state.mkdir()
    Store.open(setup.state / "relay.db").close()
    document = json.loads(relay(setup, "check", "--connect", "--json").stdout)
    (found,) = document["upstreams"]
    assert (found["name"], found["publish"], found["found"]["rename"]) == ("attentive", "rename", "yes")
    status = json.loads(relay(setup, "status", "--json").stdout)
    assert status["upstreams"][0]["checked"]["publish"] == "rename"
    assert "lists get their names by rename" in relay(setup, "status").stdout


def test_a_look_at_a_server_with_another_key_shows_both(setup: Setup, upstream: Sshd, tmp_path: Path) -> None:
    """The operator compares what is pinned with what is shown; nothing is sent (rule U6)."""
    pinned = tmp_path / "pinned.pub"
    pinned.write_bytes((upstream.root / "host_key.pub").read_bytes())
    upstream.stop()
    upstream.change_host_key()
    upstream.start()
    said = relay(setup, "check", "--connect", "--json")
    assert said.returncode == 1
    (found,) = json.loads(said.stdout)["upstreams"]
    assert found["publish"] is None
    for fingerprint in (*fingerprints(pinned), *fingerprints(upstream.root / "host_key.pub")):
        assert fingerprint in found["found"]["log in"]
    assert "known_hosts" in found["advice"][0]


def test_a_suspended_upstream_is_resumed_by_a_command(setup: Setup, upstream: Sshd) -> None:
    """The running service suspends it, fails nobody's list, and sends within seconds of the operator's word."""
    setup.config.write_text(setup.config.read_text().replace(upstream.directory, f"{upstream.directory}/later"))
    local = setup.directory / "export.csv"
    local.write_bytes(LIST)
    with Service(setup) as service:
        sftp(service.port, "amperity", setup.client_key, f'put "{local}" "/uploads/export.csv"')
        suspended = service.wait_for("upstream.suspended")
        assert (suspended["reason"], suspended["upstream"]) == ("directory_missing", "attentive")
        service.wait_for("delivery.deferred")
        status = relay(setup, "status")
        assert status.returncode == 1
        assert "resume attentive" in status.stdout
        (upstream.uploads / "later").mkdir()
        said = relay(setup, "resume", "attentive", "--reason", "made the directory")
        assert (said.returncode, said.stderr) == (0, "")
        resumed = service.wait_for("upstream.resumed")
        assert resumed["reason"] == "made the directory"
        assert resumed["operator"]
        service.wait_for("delivery.sent", deadline=20)
        assert service.named("delivery.failed") == []
    assert [path.read_bytes() for path in (upstream.uploads / "later").iterdir()] == [LIST]


def test_a_host_key_beside_the_pinned_one_is_warned_of(tmp_path: Path) -> None:
    """The running service says so in its log, with both fingerprints and what to do (rule U6)."""
    next_key = tmp_path / "next"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(next_key)], check=True)
    with Sshd(tmp_path / "upstream", options=(f"HostKey {next_key}",)) as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        local = setup.directory / "export.csv"
        local.write_bytes(LIST)
        with Service(setup) as service:
            sftp(service.port, "amperity", setup.client_key, f'put "{local}" "/uploads/export.csv"')
            service.wait_for("delivery.sent")
            warned = service.wait_for("upstream.host_key_offered")
    assert (warned["level"], warned["upstream"]) == ("warning", "attentive")
    for fingerprint in fingerprints(next_key.with_suffix(".pub")):
        assert fingerprint in warned["detail"]
    assert "known_hosts" in warned["hint"]


def test_what_is_not_suspended_or_not_known_is_not_resumed(setup: Setup) -> None:
    """A finding with a hint; the right names are shown."""
    setup.state.mkdir()
    Store.open(setup.state / "relay.db").close()
    said = relay(setup, "resume", "attentive", "atentive")
    assert said.returncode == 1
    assert "attentive is not suspended" in said.stderr
    assert "no upstream called atentive" in said.stderr
    assert "It has: attentive." in said.stderr


def _probe(upstream: ScriptedUpstream, **changes: object) -> Findings:
    async def look() -> Findings:
        async with upstream:
            return await probe(upstream.settings(**changes))

    return asyncio.run(look())


@pytest.mark.parametrize(
    ("operation", "status", "mode", "publish"),
    [
        ("list", FX_PERMISSION_DENIED, "auto", "rename"),
        ("read", FX_PERMISSION_DENIED, "auto", "rename"),
        ("remove", FX_PERMISSION_DENIED, "auto", "rename"),
        ("rename", FX_PERMISSION_DENIED, "auto", "direct"),
        ("rename", FX_PERMISSION_DENIED, "direct", "direct"),
        ("rename", FX_PERMISSION_DENIED, "rename", None),
        ("rename", FX_FAILURE, "auto", None),
        ("open", FX_PERMISSION_DENIED, "auto", None),
        ("write", FX_FAILURE, "auto", None),
        ("stat", FX_PERMISSION_DENIED, "auto", None),
    ],
)
def test_the_publish_mode_follows_from_what_is_refused(
    tmp_path: Path, operation: Operation, status: int, mode: str, publish: str | None
) -> None:
    """It is the mode that a list would really be sent by, with the same settings."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse(operation, status),))
    findings = _probe(upstream, publish=mode)
    assert findings.publish == publish
    assert findings.found["log in"] == "yes"
    assert findings.advice or operation == "read"
    if operation != "remove":
        assert upstream.received() == {}


def test_a_file_that_may_not_be_removed_is_spoken_of(tmp_path: Path) -> None:
    """It is small, says what it is, and Attentive does not read it: its name does not end in .csv."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("remove", FX_PERMISSION_DENIED),))
    findings = _probe(upstream)
    (name,) = upstream.received()
    assert not name.endswith(".csv")
    assert any("relay-check-" in advice for advice in findings.advice)


def test_direct_is_warned_of(tmp_path: Path) -> None:
    """It cannot promise that a file there is complete (rule U2)."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("rename", FX_PERMISSION_DENIED),))
    assert any("incomplete" in advice for advice in _probe(upstream).advice)


def test_a_connection_that_breaks_while_looking_is_said_so(tmp_path: Path) -> None:
    """What was found until then is shown, and that no list could be sent."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (drop("rename"),))
    findings = _probe(upstream)
    assert findings.publish is None
    assert findings.found["write"] == "yes"
    assert findings.found["rename"].startswith("connection_lost")
