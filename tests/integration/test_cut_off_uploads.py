"""Uploads that end before their end: by none of them does the relay send a list (rules L1, L2 and S8).

Some of these look complete to any server: OpenSSH's client answers Ctrl-C with a real CLOSE, and so does paramiko where
an exception leaves its `with` block. Then the content is the evidence.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from parts.clients import Login, Paramiko
from parts.landing import until
from parts.proxy import Wire
from parts.service import Service, Setup
from parts.sftp import RawSftp, SlowUpload, sftp
from parts.sshd import NEEDS_SSHD, Sshd

pytestmark = NEEDS_SSHD

HEADER = b"phone,segment_name\n"
# 16 bytes a row and 19 of the header: whatever multiple of 32 KiB an upload is cut off at is within a segment's name.
ROWS = b"".join(b"%d,VIPS\n" % (2015550100 + row % 100 + row // 100 % 700 * 10_000_000) for row in range(400_000))
EXPORT = HEADER + ROWS
PROOF = b"2125550101,Proof\n"


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    """A relay between a client and a real sshd in Attentive's place."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        yield setup


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export that takes a while to upload."""
    file = tmp_path / "export.csv"
    file.write_bytes(EXPORT)
    return file


def unpublished(setup: Setup) -> int:
    """How many bytes lie unpublished."""
    return sum(file.stat().st_size for file in (setup.state / "incoming" / "amperity").iterdir())


def wait_for_bytes(service: Service) -> None:
    """Wait until an upload has begun to arrive."""
    until(lambda: unpublished(service.setup) > 100_000, "an upload to begin")


def ctrl_c(service: Service, export: Path) -> None:
    """Press Ctrl-C in OpenSSH's client, which then closes the file."""
    with SlowUpload(service.port, "amperity", service.setup.client_key, export, "/uploads/export.csv") as client:
        wait_for_bytes(service)
        client.interrupt()
        service.wait_for("export.quarantined", reason="truncated")


def an_exception(service: Service, export: Path) -> None:
    """Have an exception leave the block in which paramiko writes, which then closes the file."""
    content = export.read_bytes()
    with (
        suppress(ZeroDivisionError),
        Paramiko.session(_login(service)) as client,
        client.open("/uploads/export.csv", "w") as file,
    ):
        file.write(content[: 5 * 32768])
        raise ZeroDivisionError
    service.wait_for("export.quarantined", reason="truncated")


def _login(service: Service) -> Login:
    key = service.setup.client_key
    return Login(service.port, "amperity", "key", "", key, key, (), service.setup.directory)


def a_kill(service: Service, export: Path) -> None:
    """Kill the client."""
    with SlowUpload(service.port, "amperity", service.setup.client_key, export, "/uploads/export.csv") as client:
        wait_for_bytes(service)
        client.kill()
        service.wait_for("landing.upload_unconfirmed")


def a_stall(service: Service, export: Path) -> None:
    """Have the client say nothing more, and go away later."""
    with RawSftp(service.port, "amperity", service.setup.client_key) as client:
        handle = client.open(b"/uploads/export.csv").handle
        client.write(handle, 0, export.read_bytes()[:32768])
        sftp(service.port, "amperity", service.setup.client_key, "ls /uploads")
        assert service.named("landing.upload_confirmed") == []
    service.wait_for("landing.upload_unconfirmed")


def a_cut(service: Service, export: Path) -> None:
    """Have the connection break."""
    with Wire(service.port, cut_after=1_000_000) as wire:
        sftp(wire.port, "amperity", service.setup.client_key, f"put {export} /uploads/export.csv", check=False)
    service.wait_for("landing.upload_unconfirmed")


def a_failed_write(service: Service, export: Path) -> None:
    """Have a WRITE fail that the client does not mind: it goes on, and closes the file properly."""
    content = export.read_bytes()
    with RawSftp(service.port, "amperity", service.setup.client_key) as client:
        handle = client.open(b"/uploads/export.csv").handle
        assert client.write(handle, 0, HEADER + ROWS[:1600]).status == 0
        assert client.write(handle, 2**62, b"2125550199,VIPS\n").status == 4
        assert client.write(handle, len(HEADER) + 1600, content[:1600]).status == 4
        assert client.close(handle).status == 4
    service.wait_for("landing.upload_unconfirmed", reason="file_too_large")


def a_gap(service: Service, export: Path) -> None:
    """Have a client leave something out, and close the file properly."""
    with RawSftp(service.port, "amperity", service.setup.client_key) as client:
        handle = client.open(b"/uploads/export.csv").handle
        assert client.write(handle, 0, HEADER + ROWS[:1600]).status == 0
        assert client.write(handle, len(HEADER) + 3200, export.read_bytes()[-1600:]).status == 0
        assert client.close(handle).status == 4
    service.wait_for("landing.upload_unconfirmed", reason="incomplete")


@pytest.mark.parametrize(
    "end", [ctrl_c, an_exception, a_kill, a_stall, a_cut, a_failed_write, a_gap], ids=lambda end: end.__name__
)
def test_no_list_is_sent_of_an_upload_that_was_cut_off(
    setup: Setup, export: Path, end: Callable[[Service, Path], None]
) -> None:
    """Nothing of it goes out, and the next upload, of the same name, does."""
    with Service(setup) as service:
        end(service, export)
        proof = export.with_name("proof.csv")
        proof.write_bytes(PROOF)
        sftp(service.port, "amperity", setup.client_key, f"put {proof} /uploads/export.csv")
        service.wait_for("delivery.sent")
        assert [line["segment"] for line in service.named("delivery.queued")] == ["Proof"]
        assert list(setup.upstream.received().values()) == [PROOF]
