"""The relay as a service of a real systemd: installed, started, reloaded, killed, frozen, stopped, rebooted.

The tests share one machine, and follow each other: each leaves the service running.
"""

import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parts.gnupg import NEEDS_GNUPG, gnupg
from parts.installation import furnish, install, received, relay, slow_upload, upload
from parts.machine import Machine, missing, until

_MISSING = missing()
pytestmark = [
    pytest.mark.skipif(_MISSING is not None, reason=_MISSING or ""),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, release: Path) -> Iterator[Machine]:
    """A machine on which the relay was installed by its one command, with everything configured."""
    directory = tmp_path_factory.mktemp("machine")
    with Machine(directory / "machine") as machine:
        machine.boot()
        furnish(machine)
        said = install(machine, release)
        assert "runs." in said.stdout
        yield machine


def a_list(person: int, segment: str) -> bytes:
    """A list of one, of a segment of its own."""
    return f"212555010{person},{segment}\n".encode()


def test_one_command_installs_and_the_main_job_is_done(machine: Machine) -> None:
    """From a release to a list at the upstream, on port 22, as the hardened unit has it."""
    assert machine.show("relay.service", "ActiveState") == "active"
    upload(machine, "/uploads/export.csv", b"phone,segment_name\n(212) 555-0101,VIP\n+1 212 555 0102,VIP\n")
    sent = machine.wait_for("delivery.sent", segment="VIP")
    assert received(machine)[sent["remote_name"]] == b"2125550101,VIP\n2125550102,VIP\n"


def test_a_table_of_parquet_is_read(machine: Machine) -> None:
    """What the unit forbids, such as memory that is written and executed, keeps no library from its work."""
    table = io.BytesIO()
    pq.write_table(pa.table({"phone": ["212-555-0103"], "segment_name": ["Parquet"]}), table)
    upload(machine, "/uploads/export.parquet", table.getvalue())
    sent = machine.wait_for("delivery.sent", segment="Parquet")
    assert received(machine)[sent["remote_name"]] == b"2125550103,Parquet\n"


@NEEDS_GNUPG
def test_an_encrypted_export_is_read_with_a_key_that_is_a_credential(machine: Machine) -> None:
    """A route's private key stays root's, and is handed to the service as the instructions say."""
    with gnupg() as theirs:
        theirs.make_key("relay")
        key, message = theirs.private_key("relay"), theirs.encrypt(a_list(4, "Encrypted"), to="relay")
    machine.write("/etc/relay/sirendenim.pgp", key.decode(), mode=0o600)
    route = machine.root / "etc/relay/routes.d/sirendenim.toml"
    route.write_text(f'{route.read_text()}[pgp]\nprivate_key = "sirendenim.pgp"\n')
    machine.write(
        "/etc/systemd/system/relay.service.d/pgp.conf",
        "[Service]\nLoadCredential=sirendenim.pgp:/etc/relay/sirendenim.pgp\n",
    )
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "relay.service")
    upload(machine, "/uploads/export.csv.pgp", message)
    sent = machine.wait_for("delivery.sent", segment="Encrypted")
    assert received(machine)[sent["remote_name"]] == a_list(4, "Encrypted")


def test_the_unit_leaves_little_to_attack(machine: Machine) -> None:
    """What systemd says of the unit that did the main job: exposure of at most 1.5, no capability, not root."""
    said = machine.run("systemd-analyze", "security", "--no-pager", "relay.service", check=False).stdout
    exposure = re.search(r"exposure level for relay.service: ([\d.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= 1.5
    process = machine.run("cat", f"/proc/{machine.show('relay.service', 'MainPID')}/status").stdout
    assert re.search(r"^CapEff:\t0+$", process, re.MULTILINE)
    assert not re.search(r"^Uid:\t0", process, re.MULTILINE)


def test_the_status_is_the_line_that_relay_status_begins_with(machine: Machine) -> None:
    """One source: what `systemctl status` shows is what the command shows, but for the moment."""
    shown = machine.show("relay.service", "StatusText")
    assert shown.partition(",")[2] == relay(machine, "status").stdout.splitlines()[0].partition(",")[2]
    assert relay(machine, "status", "--health").returncode == 0


def test_credentials_are_for_the_service_alone(machine: Machine) -> None:
    """The secrets in /etc/relay are root's; the service reads copies, and its user cannot read either's original."""
    for secret in ("attentive.password", "ssh_host_ed25519_key"):
        assert machine.run("runuser", "-u", "relay", "--", "cat", f"/etc/relay/{secret}", check=False).returncode != 0
        copy = f"/run/credentials/relay.service/{secret}"
        assert machine.run("runuser", "-u", "nobody", "--", "cat", copy, check=False).returncode != 0
        assert machine.run("cat", copy).returncode == 0


def test_the_journal_is_json(machine: Machine) -> None:
    """Every line of the service's own parses, and has what every line has."""
    lines = machine.journal()
    assert {"relay.started", "relay.ready", "delivery.sent"} <= {line["event"] for line in lines}
    assert all(line.keys() >= {"timestamp", "level", "event"} for line in lines)


def test_a_reload_takes_what_is_right_and_refuses_what_is_wrong(machine: Machine) -> None:
    """A wrong file fails the reload, is logged, and changes nothing; the right one is in force afterwards."""
    machine.write("/etc/relay/routes.d/wrong.toml", "nonsense = true\n")
    assert machine.run("systemctl", "reload", "relay", check=False).returncode != 0
    assert machine.wait_for("config.refused")["level"] == "error"
    upload(machine, "/uploads/still.csv", a_list(1, "Still"))
    machine.wait_for("delivery.sent", segment="Still")
    (machine.root / "etc/relay/routes.d/wrong.toml").unlink()
    assert machine.run("systemctl", "reload", "relay", check=False).returncode == 0
    machine.wait_for("config.reloaded")
    assert machine.show("relay.service", "ActiveState") == "active"


def test_a_killed_service_goes_on(machine: Machine) -> None:
    """systemd starts it again, and what was acknowledged is sent, once."""
    before = machine.show("relay.service", "MainPID")
    upload(machine, "/uploads/killed.csv", a_list(2, "Killed"))
    machine.run("systemctl", "kill", "--signal", "KILL", "--kill-whom", "main", "relay.service")
    until(lambda: machine.show("relay.service", "MainPID") not in {before, "0"}, "another process")
    sent = machine.wait_for("delivery.sent", segment="Killed")
    assert [name for name, content in received(machine).items() if content == a_list(2, "Killed")] == [
        sent["remote_name"]
    ]


def test_a_frozen_service_is_started_again(machine: Machine) -> None:
    """The watchdog kills a process that does not turn (rule T4)."""
    machine.write("/etc/systemd/system/relay.service.d/watchdog.conf", "[Service]\nWatchdogSec=3s\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "relay.service")
    before = machine.show("relay.service", "MainPID")
    machine.run("kill", "-STOP", before)
    until(lambda: machine.show("relay.service", "MainPID") not in {before, "0"}, "the watchdog")
    assert "watchdog" in machine.run("journalctl", "--unit", "relay", "--no-pager").stdout.lower()
    until(lambda: machine.show("relay.service", "ActiveState") == "active", "another start")
    machine.run("rm", "/etc/systemd/system/relay.service.d/watchdog.conf")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "relay.service")


def test_a_restart_refuses_no_connection(machine: Machine) -> None:
    """Clients that come while the service is down are served by the next (rule L29)."""
    machine.run("systemctl", "stop", "relay.service")
    with subprocess.Popen(
        [*machine.entering(), "python3", "-c", _GREETED], stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        machine.run("systemctl", "start", "relay.service")
        assert client.stdout.readline().startswith("SSH-2.0-relay")


_GREETED = """
import socket
with socket.create_connection(("127.0.0.1", 22), timeout=60) as connection:
    print("connected", flush=True)
    print(connection.recv(100).decode(), flush=True)
"""


def test_a_stop_lets_an_upload_in_flight_end(machine: Machine) -> None:
    """What is being uploaded while the service stops arrives within the drain, and is sent after the next start."""
    content = b"".join(a_list(person, "Slow") for person in range(10)) * 2_500
    incoming = machine.root / "var/lib/relay/incoming/amperity"
    before = set(incoming.iterdir())
    with slow_upload(machine, "/uploads/slow.csv", content) as client:
        until(lambda: any(it.stat().st_size for it in set(incoming.iterdir()) - before), "the upload to grow")
        machine.run("systemctl", "stop", "relay.socket", "relay.service")
        client.wait(60)  # It is put out as soon as its upload has been acknowledged.
    assert machine.wait_for("landing.upload_confirmed", path="/uploads/slow.csv")["bytes"] == len(content)
    assert machine.show("relay.service", "Result") == "success"
    machine.run("systemctl", "start", "relay.service")
    sent = machine.wait_for("delivery.sent", segment="Slow")
    assert sent["rows_out"] == 10


def test_a_reboot_brings_it_back(machine: Machine) -> None:
    """Everything is there again, and what was taken before the power was cut is sent."""
    upload(machine, "/uploads/power.csv", a_list(3, "Power"))
    machine.pull_the_plug()
    machine.boot()
    assert machine.show("relay.service", "ActiveState") == "active"
    sent = machine.wait_for("delivery.sent", segment="Power")
    assert received(machine)[sent["remote_name"]] == a_list(3, "Power")
    assert list(received(machine).values()).count(a_list(3, "Power")) == 1


def test_uninstalling_keeps_data_unless_told(machine: Machine) -> None:
    """The program goes; configuration and state stay, until they are asked for, too."""
    program = "/opt/relay/current/release/install"
    machine.run("cp", "-rL", "/opt/relay/current/release", "/root/installer")
    machine.run("sh", program, "--uninstall")
    assert not (machine.root / "opt/relay").exists()
    assert (machine.root / "var/lib/relay/relay.db").exists()
    assert (machine.root / "etc/relay/relay.toml").exists()
    assert machine.run("systemctl", "is-active", "relay.socket", check=False).returncode != 0
    machine.run("sh", "/root/installer/install", "--uninstall", "--with-data")
    assert not (machine.root / "var/lib/relay").exists()
    assert not (machine.root / "etc/relay").exists()
