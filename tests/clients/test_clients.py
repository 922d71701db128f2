"""Every client of the matrix against the landing zone: what people do with it, and being cut off in the middle."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import asyncssh
import pytest
from parts.clients import CLIENTS, Client, Login, StepFailedError
from parts.landing import PASSWORD, LandingZone, until, write_key
from parts.proxy import Wire

MIB = 1 << 20
SIZES = (0, 1, 70_000, 300_000)
"""Nothing, next to nothing, more than the 64 KiB of one WRITE of Go's, and more than one packet of anybody's."""

LARGE = 50 * 1000 * 1000

Method = Literal["password", "key"]

SOMETIMES = pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "full", reason="takes long: `.ci/full` does it")
"""The rest of the matrix, of which every client has a part in every run."""


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> Client:
    """A client, if it is there."""
    kind: type[Client] = request.param
    if not kind.is_there():
        pytest.skip(f"needs {kind.needs}")
    return kind()


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[LandingZone]:
    """A landing zone into which two keys and a password lead, with the host keys that old and new clients want."""
    with LandingZone(tmp_path / "zone", account={"authorized_keys": _keys(tmp_path)}) as zone:
        yield zone


def _keys(directory: Path) -> Path:
    """Make a key of each kind that some client reads, and return the file of those that may log in."""
    write_key(directory / "key")
    write_key(directory / "ecdsa_key", asyncssh.generate_private_key("ecdsa-sha2-nistp256"), form="pkcs1-pem")
    authorized = directory / "authorized_keys"
    authorized.write_text("".join((directory / f"{name}.pub").read_text() for name in ("key", "ecdsa_key")))
    return authorized


def login(zone: LandingZone, directory: Path, method: Method, *, port: int = 0) -> Login:
    """How a client logs in."""
    return Login(
        port=port or zone.port,
        user="amperity",
        method=method,
        password=PASSWORD,
        key=directory / "key",
        ecdsa_key=directory / "ecdsa_key",
        host_keys=zone.host_key_fingerprints(),
        directory=directory,
    )


def local(directory: Path, size: int, name: str = "") -> tuple[str, bytes]:
    """A file to upload, and its content."""
    content = os.urandom(size)
    file = directory / (name or f"{size}.csv")
    file.write_bytes(content)
    return str(file), content


def gone(zone: LandingZone) -> None:
    """Wait until every connection has ended: sshfs does not wait for the answer to its last CLOSE."""
    until(lambda: not zone.server.visits, "the client to go")


@pytest.mark.parametrize("method", [pytest.param("password", marks=SOMETIMES), "key"])
def test_a_client_does_what_people_do_with_it(
    client: Client, zone: LandingZone, tmp_path: Path, method: Method
) -> None:
    """Directories in directories, files of every size class, overwriting, renaming, listing, removing; all durable."""
    files = {size: local(tmp_path, size) for size in SIZES}
    again, overwritten = local(tmp_path, 5_000, "again.csv")
    deep = "/uploads/2026 11/sirendenim"
    listed = client.do(
        login(zone, tmp_path, method),
        ("mkdir", "/uploads/2026 11"),
        ("mkdir", deep),
        *(("put", file, f"{deep}/{size}.csv") for size, (file, _) in files.items()),
        ("put", again, f"{deep}/70000.csv"),
        ("rename", f"{deep}/300000.csv", "/uploads/renamed.csv"),
        ("remove", f"{deep}/1.csv"),
        ("list", deep),
    )
    gone(zone)
    assert zone.visible() == {
        f"{deep}/0.csv": b"",
        f"{deep}/70000.csv": overwritten,
        "/uploads/renamed.csv": files[300_000][1],
    }
    assert "70000.csv" in listed
    assert "1.csv" not in listed.split()
    assert zone.incoming() == []
    assert {line["method"] for line in zone.events("landing.login_succeeded")} == {
        "password" if method == "password" else "publickey"
    }
    assert zone.events("landing.upload_unconfirmed") == []


@SOMETIMES
def test_a_large_file_arrives_whole(client: Client, zone: LandingZone, tmp_path: Path) -> None:
    """50 MB, byte for byte, in one arrival."""
    file, content = local(tmp_path, LARGE)
    client.do(login(zone, tmp_path, "key"), ("put", file, "/uploads/large.csv"))
    gone(zone)
    assert zone.visible() == {"/uploads/large.csv": content}
    assert [arrival.size for arrival in zone.arrivals() if arrival.size] == [LARGE]


def test_a_client_cut_off_leaves_nothing_and_starts_again(client: Client, zone: LandingZone, tmp_path: Path) -> None:
    """The connection breaks in mid-upload: the client fails, nothing is published, and the same upload works later."""
    file, content = local(tmp_path, 12 * MIB)
    step = ("put", file, "/uploads/list.csv")
    with Wire(zone.port, cut_after=5 * MIB) as wire:
        with pytest.raises(StepFailedError):
            client.do(login(zone, tmp_path, "key", port=wire.port), step)
        assert wire.was_cut.is_set()
    zone.wait_for("landing.upload_unconfirmed")
    assert zone.incoming() == []
    assert all(content == b"" for content in zone.visible().values())
    client.do(login(zone, tmp_path, "key"), step)
    gone(zone)
    assert zone.visible() == {"/uploads/list.csv": content}
