"""A logged-in attacker: every operation with every path that might lead out of the account's directory (rule L4)."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from parts.landing import LandingZone
from parts.sftp import RawSftp, string

SECRET = b"not the client's"

TARGETS = (b"other/uploads/secret", b"relay.db", b"etc/passwd", b"")
UP = b"../"
PATHS = [
    *(
        prefix + UP * count + target
        for prefix in (b"", b"/", b"/uploads/")
        for count in (1, 2, 9)
        for target in TARGETS
    ),
    b"/uploads/../../other/uploads/secret",
    b"/uploads/./.././../other/uploads/secret",
    b"/uploads/mine/../../../other/uploads/secret",
    b"/uploads/nothing/../../../../other/uploads/secret",
    b"//../other//uploads/secret",
    b"/uploads/..//..//other/uploads/secret/",
    b"/uploads/....//....//other",
    b"/uploads/..\\..\\other",
    b"/uploads/%2e%2e/%2e%2e/other",
    b"/uploads/\xc0\xae\xc0\xae/other",
    b"/uploads/\xe2\x80\xa4\xe2\x80\xa4/other",
    b"/uploads/secret\0.csv",
    b"/uploads/line\nfeed",
    b"/uploads/" + b"n" * 256,
    b"/uploads" + b"/d" * 40,
    b"/dev/null",
    b"/proc/self/environ",
    b"/proc/self/fd/0",
    b"~other/uploads/secret",
    b"$HOME",
    b"/uploads/hostlink/secret",
    b"/uploads/hostlink/new",
    b"/uploads/hostlink",
    b"/uploads/filelink",
    b"/uploads/pipe",
]


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[LandingZone]:
    """A landing zone in which somebody on the host has put links and a pipe, too."""
    with LandingZone(tmp_path / "zone") as zone:
        theirs = zone.spool.landing("other") / "uploads"
        theirs.mkdir(exist_ok=True)
        (theirs / "secret").write_bytes(SECRET)
        mine = zone.spool.landing("amperity") / "uploads"
        mine.mkdir(exist_ok=True)
        (mine / "mine").mkdir()
        (mine / "hostlink").symlink_to(theirs)
        (mine / "filelink").symlink_to(theirs / "secret")
        os.mkfifo(mine / "pipe")
        yield zone


def outside(zone: LandingZone) -> dict[str, object]:
    """What lies outside the account's directory and is not the database's: names, content, and what was done to it."""
    root = zone.spool.landing("other")
    found: dict[str, object] = {}
    for path in (root, *root.rglob("*")):
        known = path.lstat()
        found[str(path)] = (known.st_ino, known.st_mode, known.st_size, known.st_mtime_ns, known.st_ctime_ns)
    state = zone.spool.landing_zone.parent
    found["state"] = sorted(path.name for path in state.iterdir() if not path.name.startswith("relay.db"))
    found["landing"] = sorted(path.name for path in zone.spool.landing_zone.iterdir())
    return found


def attempts(client: RawSftp, path: bytes) -> Iterator[bytes]:
    """Try everything with a path, and give what is answered."""
    name, flags = string(path), struct.pack(">II", 0x1A, 0)
    for kind in (7, 17, 16, 19):  # LSTAT, STAT, REALPATH, READLINK
        yield client.ask(kind, name).body
    yield client.ask(9, name + struct.pack(">IQ", 1, 0)).body  # SETSTAT to nothing
    for answer in (client.open(path, 0x1), client.ask(11, name)):  # OPEN to read, OPENDIR
        if answer.kind == 102:
            yield client.ask(5, string(answer.handle) + struct.pack(">QI", 0, 1000)).body
            yield client.ask(12, string(answer.handle)).body
            client.close(answer.handle)
    opened = client.ask(3, name + flags)
    if opened.kind == 102:
        client.write(opened.handle, 0, b"written")
        yield client.close(opened.handle).body
    client.ask(14, name + bytes(4))  # MKDIR
    for one, other in ((path, b"/uploads/moved"), (b"/uploads/mine", path)):
        for kind, first in ((18, b""), (200, POSIX_RENAME)):  # RENAME, and the one that replaces
            yield client.ask(kind, first + string(one) + string(other)).body
    client.ask(20, string(b"../../other") + name)  # SYMLINK, either way round
    client.ask(20, name + string(b"../../other"))
    client.ask(200, string(b"hardlink@openssh.com") + name + string(b"/uploads/hard"))
    for kind in (13, 15):  # REMOVE, RMDIR
        yield client.ask(kind, name).body


POSIX_RENAME = string(b"posix-rename@openssh.com")


def test_no_path_leads_out(zone: LandingZone) -> None:
    """Nothing outside is read, listed, changed, made or removed; nothing that the client makes is a link."""
    before = outside(zone)
    with RawSftp(zone.port, "amperity", zone.key) as client:
        for path in PATHS:
            for answered in attempts(client, path):
                assert SECRET not in answered
                assert b"secret" not in answered or b"secret" in path
                assert str(zone.spool.landing_zone).encode() not in answered
    assert outside(zone) == before
    links = {path.name for path in zone.spool.landing("amperity").rglob("*") if path.is_symlink()}
    assert links <= {"hostlink", "filelink"}
    assert zone.events("landing.session_failed") == []


def test_something_legal_moved_upwards_leads_nowhere(zone: LandingZone) -> None:
    """Directories moved up and down change no path's meaning: there is nothing in them that points elsewhere."""
    before = outside(zone)
    with RawSftp(zone.port, "amperity", zone.key) as client:
        for path in (b"/uploads/a", b"/uploads/a/b"):
            assert client.ask(14, string(path) + bytes(4)).status == 0
        client.ask(20, string(b"../../../other") + string(b"/uploads/a/b/link"))
        assert client.ask(18, string(b"/uploads/a/b") + string(b"/b")).status == 0
        for path in (b"/b/../../other/uploads/secret", b"/b/link/uploads/secret", b"/b/../other/uploads/secret"):
            assert client.open(path, 0x1).status == 2
    assert outside(zone) == before
