"""What Amperity does and wishes, as far as it is documented, done by the JVM's client and by OpenSSH's."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncssh
import pytest
from parts.clients import Jsch, Login
from parts.landing import LandingZone, write_key
from parts.service import Service, Setup, relay
from parts.sftp import NEEDS_SFTP, sftp
from parts.sshd import NEEDS_SSHD, Sshd

NEEDS_JSCH = pytest.mark.skipif(not Jsch.is_there(), reason=f"needs {Jsch.needs}")

LIST = b"2125550101,VIP\n2125550102,VIP\n"


@NEEDS_SSHD
@NEEDS_JSCH
def test_saving_a_destination_raises_no_alarm(tmp_path: Path) -> None:
    """A client looks around, makes directories, and writes, renames and removes a small file: a probe, no export."""
    probe = tmp_path / "probe"
    probe.write_bytes(b"validation")
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream, settle="20s")
        setup.route()
        _speak_ecdsa(setup)
        with Service(setup) as service:
            Jsch().do(
                _login(service.port, setup.directory),
                ("list", "/uploads"),
                ("mkdir", "/uploads/amperity"),
                ("mkdir", "/uploads/amperity/validation"),
                ("put", str(probe), "/uploads/amperity/validation/probe.tmp"),
                ("rename", "/uploads/amperity/validation/probe.tmp", "/uploads/amperity/validation/probe"),
                ("remove", "/uploads/amperity/validation/probe"),
            )
            service.wait_for("arrival.withdrawn")
            assert service.named("export.received") == []
            assert [line for line in service.lines if line["level"] == "error"] == []
            assert relay(setup, "status").returncode == 0


def _speak_ecdsa(setup: Setup) -> None:
    """Have the host and the account have keys that the JVM's client reads."""
    write_key(setup.directory / "ssh_host_ed25519_key", asyncssh.generate_private_key("ecdsa-sha2-nistp256"))
    write_key(setup.directory / "ecdsa_key", asyncssh.generate_private_key("ecdsa-sha2-nistp256"), form="pkcs1-pem")
    (setup.directory / "amperity.pub").write_bytes((setup.directory / "ecdsa_key.pub").read_bytes())


def _login(port: int, directory: Path) -> Login:
    key = directory / "ecdsa_key"
    return Login(port, "amperity", "key", "", key, key, (), directory)


@NEEDS_SFTP
@pytest.mark.parametrize(
    ("written", "lands"),
    [
        ("/uploads/2026/11/Campaign_VIP_2026-11-23.csv", "/uploads/2026/11/Campaign_VIP_2026-11-23.csv"),
        ("//uploads///2026/11//list", "/uploads/2026/11/list"),
        ("uploads/2026/11/X.csv/part-00000-abc.csv", "/uploads/2026/11/X.csv/part-00000-abc.csv"),
        ("/uploads/2026/11/list.csv/", "/uploads/2026/11/list.csv"),
        ("/uploads/2026/11/VIP\\ customers.csv", "/uploads/2026/11/VIP customers.csv"),
        ("/uploads/2026/11/export.csv.gz.pgp", "/uploads/2026/11/export.csv.gz.pgp"),
    ],
)
def test_a_name_of_any_template_lands(tmp_path: Path, written: str, lands: str) -> None:
    """With directories in it, doubled and trailing slashes, escaped blanks, any extension; and again each day."""
    local = tmp_path / "list"
    with LandingZone(tmp_path / "zone") as zone:
        made = ["mkdir /uploads/2026", "mkdir /uploads/2026/11", "mkdir /uploads/2026/11/X.csv"]
        for content in (LIST, LIST * 2):
            local.write_bytes(content)
            sftp(zone.port, "amperity", zone.key, *made, f"put {local} {written}")
            assert zone.visible() == {lands: content}
            made = []
        assert [arrival.path for arrival in zone.arrivals()] == [lands, lands]


@NEEDS_SFTP
def test_several_sessions_at_once_are_normal(tmp_path: Path) -> None:
    """Eight of one account, each with a file of its own."""
    local = tmp_path / "list.csv"
    local.write_bytes(LIST * 10_000)
    with LandingZone(tmp_path / "zone") as zone, ThreadPoolExecutor(8) as sessions:
        list(
            sessions.map(
                lambda number: sftp(zone.port, "amperity", zone.key, f"put {local} /uploads/{number:07}.csv"), range(8)
            )
        )
        assert zone.visible() == {f"/uploads/{number:07}.csv": LIST * 10_000 for number in range(8)}
