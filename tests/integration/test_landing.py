"""The landing zone with real clients: custody is taken at CLOSE, or not at all."""

import errno
import os
import shutil
import struct
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from parts.landing import LandingZone, until
from parts.sftp import NEEDS_SFTP, RawSftp, SlowUpload, sftp, string

from relay.landing.filesystem import Disk
from relay.model import Fingerprint

pytestmark = NEEDS_SFTP

LIST = b"phone,segment_name\n" + b"2125550123,VIP\n" * 1000
MIB = 1 << 20


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[LandingZone]:
    """A landing zone."""
    with LandingZone(tmp_path / "zone") as zone:
        yield zone


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A file to upload."""
    file = tmp_path / "list.csv"
    file.write_bytes(LIST)
    return file


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file that takes a while to upload."""
    file = tmp_path / "big.csv"
    file.write_bytes(os.urandom(MIB) * 24)
    return file


def run(zone: LandingZone, *commands: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run commands of `sftp` as amperity."""
    return sftp(zone.port, "amperity", zone.key, *commands, check=check)


def raw(zone: LandingZone) -> RawSftp:
    """Open a session for packets of our own as amperity."""
    return RawSftp(zone.port, "amperity", zone.key)


def upload(client: RawSftp, path: bytes, content: bytes) -> None:
    """Upload a file."""
    handle = client.open(path).handle
    assert client.write(handle, 0, content).status == 0
    assert client.close(handle).status == 0


@pytest.mark.parametrize("plain_loop", [False, True], ids=["uvloop", "asyncio"])
def test_sftp_works_as_usual(tmp_path: Path, local: Path, *, plain_loop: bool) -> None:
    """Everything that people do with OpenSSH's `sftp`, on both event loops, and a clean end."""
    back = tmp_path / "back"
    with LandingZone(tmp_path / "zone", plain_loop=plain_loop) as zone:
        done = run(
            zone,
            "pwd",
            "ls -la /",
            f"put {local} /uploads/first.csv",
            f"put -p {local} uploads//second.csv/",
            "ls -l /uploads",
            f"get /uploads/first.csv {back}",
            "rename /uploads/first.csv /uploads/third.csv",
            "mkdir /uploads/a",
            "mkdir /uploads/a/b",
            f"put {local} /uploads/a/b/inner.csv",
            "chmod 777 /uploads/second.csv",
            "rm /uploads/second.csv",
            "df /uploads",
            "mkdir /uploads/empty",
            "rmdir /uploads/empty",
            "cd /uploads/../uploads/a",
            f'put {local} "with blank.csv"',
        )
        assert back.read_bytes() == LIST
        assert "Remote working directory: /\n" in done.stdout
        assert "%Capacity" in done.stdout
        assert zone.visible() == dict.fromkeys(
            ("/uploads/third.csv", "/uploads/a/b/inner.csv", "/uploads/a/with blank.csv"), LIST
        )
        assert [arrival.path for arrival in zone.arrivals()][:2] == ["/uploads/first.csv", "/uploads/second.csv"]


@pytest.mark.parametrize(
    "command",
    ["rmdir /uploads", "rename /uploads /elsewhere", "ln -s /uploads /link", "rm /uploads/none", "cd /none", "rm /"],
)
def test_sftp_is_told_what_cannot_be_done(zone: LandingZone, command: str) -> None:
    """The client sees a failure, and the session goes on."""
    assert run(zone, command, check=False).returncode == 1
    run(zone, f"-{command}", "mkdir /uploads/after")
    assert (zone.spool.landing("amperity") / "uploads" / "after").is_dir()


def test_what_lands_is_noted_with_its_fingerprint(zone: LandingZone, local: Path) -> None:
    """The row names exactly the file that lies there, and says that its client was told so."""
    run(zone, f"put -p {local} /uploads/list.csv")
    found = (zone.spool.landing("amperity") / "uploads" / "list.csv").stat()
    (arrival,) = zone.arrivals()
    assert (arrival.account, arrival.path, arrival.size) == ("amperity", "/uploads/list.csv", len(LIST))
    assert arrival.fingerprint == Fingerprint(found.st_ino, found.st_mtime_ns)
    assert arrival.confirmed
    line = zone.wait_for("landing.upload_confirmed")
    assert (line["account"], line["path"], line["bytes"]) == ("amperity", "/uploads/list.csv", len(LIST))
    assert line["session"] == arrival.session == zone.wait_for("landing.login_succeeded")["session"]
    assert found.st_mode & 0o777 == 0o600
    assert zone.landed == 1


def test_accounts_do_not_see_each_other(zone: LandingZone, local: Path) -> None:
    """Each has its own root (rule L4)."""
    run(zone, f"put {local} /uploads/list.csv")
    done = sftp(zone.port, "other", zone.key, "ls /uploads", "-get /uploads/../../amperity/uploads/list.csv /dev/null")
    assert "list.csv\n" not in done.stdout.replace("/uploads/list.csv", "")
    assert "not found" in done.stderr
    assert zone.visible("other") == {}


# CLOSE is the commit


def test_a_file_appears_with_its_close_and_not_before(zone: LandingZone) -> None:
    """An open upload is invisible; CLOSE publishes it whole."""
    with raw(zone) as client:
        handle = client.open(b"/uploads/list.csv").handle
        client.write(handle, 0, LIST)
        with raw(zone) as other:
            assert other.ask(17, string(b"/uploads/list.csv")).status == 2
        assert (zone.visible(), len(zone.incoming())) == ({}, 1)
        assert client.close(handle).status == 0
        assert (zone.visible(), zone.incoming()) == ({"/uploads/list.csv": LIST}, [])


class Gate:
    """A disk that makes files durable only when it is told to."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def sync(self, descriptor: int) -> None:
        """Wait for the word, then do as the real one does."""
        self.entered.set()
        assert self.opened.wait(30)
        os.fsync(descriptor)


def test_close_is_answered_when_the_disk_has_it_and_nobody_else_waits(tmp_path: Path) -> None:
    """While one upload is being made durable, other sessions, of the same connection too, go on (rule L1)."""
    gate = Gate()
    with LandingZone(tmp_path / "zone", disk=Disk(sync=gate.sync)) as zone, raw(zone) as first, raw(zone) as second:
        handle = first.open(b"/uploads/list.csv").handle
        first.write(handle, 0, LIST)
        first.send(4, string(handle))
        assert gate.entered.wait(30)
        for number in range(50):
            other = second.open(b"/uploads/%d" % number).handle
            assert second.write(other, 0, LIST).status == 0
            assert second.ask(17, string(b"/uploads")).kind == 105
        assert not first.channel.recv_ready()
        assert zone.visible() == {}
        assert zone.arrivals() == []
        gate.opened.set()
        assert first.receive().status == 0
        assert zone.visible() == {"/uploads/list.csv": LIST}


class Reluctant:
    """A disk that hesitates over its first block, and takes `slow` ones only when it is told to."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def write(self, descriptor: int, payload: memoryview, offset: int) -> int:
        """Write, sooner or later."""
        if bytes(payload[:4]) == b"slow":
            self.entered.set()
            assert self.opened.wait(30)
        elif bytes(payload[:5]) == b"first":
            time.sleep(0.1)
        return os.pwrite(descriptor, payload, offset)


def test_a_disk_that_is_behind_stops_only_who_writes_to_it(tmp_path: Path) -> None:
    """Once a write took noticeably long, the next ones wait in threads; other sessions go on."""
    disk = Reluctant()
    with LandingZone(tmp_path / "zone", disk=Disk(write=disk.write)) as zone, raw(zone) as one, raw(zone) as other:
        handle = one.open(b"/uploads/slow.csv").handle
        assert one.write(handle, 0, b"first block\n").status == 0
        sent = [one.send(6, string(handle) + struct.pack(">Q", 12 + at) + string(b"slow block\n")) for at in (0, 11)]
        assert disk.entered.wait(30)
        upload(other, b"/uploads/list.csv", LIST)
        assert other.ask(17, string(b"/uploads/list.csv")).kind == 105
        disk.opened.set()
        assert [one.receive().request for _ in sent] == sent
        assert one.close(handle).status == 0
        assert zone.visible() == {
            "/uploads/slow.csv": b"first block\nslow block\nslow block\n",
            "/uploads/list.csv": LIST,
        }


def test_answers_come_in_the_order_of_the_requests(zone: LandingZone) -> None:
    """Requests sent ahead are answered one after the other, whether they wait for the disk or not."""
    with raw(zone) as client:
        handle = client.open(b"/uploads/list.csv").handle
        sent = []
        for number in range(100):
            sent.append(client.send(6, string(handle) + struct.pack(">Q", number * 4) + string(b"abc\n")))
            sent.append(client.send(8, string(handle)))
            sent.append(client.send(16, string(b".")))
        sent.append(client.send(4, string(handle)))
        sent.append(client.send(17, string(b"/uploads/list.csv")))
        answers = [client.receive() for _ in sent]
        assert [answer.request for answer in answers] == sent
        assert answers[-2].status == 0
        assert answers[-1].kind == 105
        sizes = [int.from_bytes(answer.body[4:12], "big") for answer in answers if answer.kind == 105]
        assert sizes == [*range(4, 404, 4), 400]


# Without CLOSE there is nothing


def unconfirmed(zone: LandingZone) -> str:
    """Wait until the upload was given up, and return why."""
    reason: str = zone.wait_for("landing.upload_unconfirmed")["reason"]
    assert (zone.visible(), zone.arrivals(), zone.incoming()) == ({}, [], [])
    return reason


def test_a_killed_client_leaves_nothing_and_can_start_again(zone: LandingZone, big: Path) -> None:
    """Killed in mid-upload: nothing is published, nothing is left, and the same upload works afterwards."""
    with SlowUpload(zone.port, "amperity", zone.key, big, "/uploads/big.csv") as client:
        until(lambda: any(file.stat().st_size for file in zone.incoming()), "the upload to begin")
        client.kill()
        unconfirmed(zone)
    run(zone, f"put {big} /uploads/big.csv")
    assert zone.visible() == {"/uploads/big.csv": big.read_bytes()}


def test_ctrl_c_closes_what_it_cut_off_and_the_row_says_how_much(zone: LandingZone, big: Path) -> None:
    """OpenSSH's client answers Ctrl-C with a real CLOSE: that such a file is cut off shows in its content only."""
    with SlowUpload(zone.port, "amperity", zone.key, big, "/uploads/big.csv") as client:
        until(lambda: any(file.stat().st_size for file in zone.incoming()), "the upload to begin")
        client.interrupt()
        size = zone.wait_for("landing.upload_confirmed")["bytes"]
    assert 0 < size < big.stat().st_size
    assert zone.visible() == {"/uploads/big.csv": big.read_bytes()[:size]}
    assert [arrival.size for arrival in zone.arrivals()] == [size]


@pytest.mark.parametrize("end", ["connection", "channel", "end of file", "nonsense"])
def test_an_upload_that_was_not_closed_is_not_kept(zone: LandingZone, end: str) -> None:
    """However the session ends (rule L2), every upload that is open then is given up."""
    client = raw(zone)
    with client:
        for name in (b"/uploads/one", b"/uploads/two"):
            client.write(client.open(name).handle, 0, LIST)
        if end == "connection":
            client.transport.close()
        elif end == "channel":
            client.channel.close()
        elif end == "end of file":
            client.channel.shutdown_write()
            assert client.exit_status() == 0
        else:
            client.send_packet(b"\x06 this is no WRITE")
            assert client.exit_status() == 1
        zone.wait_for("landing.upload_unconfirmed", 2)
        assert unconfirmed(zone) in {"connection_lost", "not_closed", "bad_message"}


def test_a_close_that_nobody_waits_for_is_still_a_close(tmp_path: Path) -> None:
    """The connection is lost after CLOSE and before its answer: what was complete and asked for is kept."""
    gate = Gate()
    with LandingZone(tmp_path / "zone", disk=Disk(sync=gate.sync)) as zone:
        with raw(zone) as client:
            handle = client.open(b"/uploads/list.csv").handle
            client.write(handle, 0, LIST)
            other = client.open(b"/uploads/other.csv").handle
            client.write(other, 0, LIST)
            client.send(4, string(handle))
            assert gate.entered.wait(30)
        until(lambda: not zone.server.visits, "the end of the connection")
        gate.opened.set()
        zone.wait_for("landing.upload_unconfirmed")
        assert zone.visible() == {"/uploads/list.csv": LIST}
        assert [arrival.path for arrival in zone.arrivals()] == ["/uploads/list.csv"]
        assert zone.incoming() == []


def test_one_broken_session_does_not_touch_another_of_its_connection(zone: LandingZone) -> None:
    """A packet that is none ends its own session only."""
    with raw(zone) as client:
        second = client.transport.open_session()
        second.invoke_subsystem("sftp")
        second.sendall(b"\xff\xff\xff\xff")
        assert second.recv_exit_status() == 1
        handle = client.open(b"/uploads/list.csv").handle
        client.write(handle, 0, LIST)
        assert client.close(handle).status == 0


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x05",
        b"\x03\0\0\0\x01\xff\xff\xff\xff",
        b"\x03\0\0\0\x01\0\0\0\x01/",
        b"\x06\0\0\0\x01\0\0\0\x04abcd",
        b"\x06\0\0\0\x01\0\0\0\x04abcd" + bytes(8) + b"\0\0\xff\xff1234",
        b"\xc8\0\0\0\x01\0\0\0\x20fsync",
    ],
    ids=["empty", "no number", "endless string", "cut short", "no payload", "short payload", "short name"],
)
def test_a_malformed_packet_ends_the_session_and_not_the_service(zone: LandingZone, packet: bytes) -> None:
    """The client gets an exit status that is not 0; the next one is served."""
    with raw(zone) as client:
        client.send_packet(packet)
        assert client.exit_status() == 1
    with raw(zone) as client:
        assert client.ask(16, string(b".")).kind == 104
    assert zone.events("landing.session_failed") == []


def test_a_request_before_init_ends_the_session(zone: LandingZone) -> None:
    """INIT comes first, whatever comes next."""
    client = raw(zone)
    client.send(16, string(b"."))
    assert client.exit_status() == 1
    client.transport.close()


def test_a_clean_session_ends_with_status_0(zone: LandingZone) -> None:
    """Clients look at it, and some of them only at it."""
    with raw(zone) as client:
        client.channel.shutdown_write()
        assert client.exit_status() == 0


def test_extensions_are_announced(zone: LandingZone) -> None:
    """Those that OpenSSH's client uses; no hard links among them."""
    with raw(zone) as client:
        for name in (b"posix-rename@openssh.com", b"statvfs@openssh.com", b"fsync@openssh.com", b"limits@openssh.com"):
            assert string(name) in client.greeting
        assert b"hardlink" not in client.greeting
        limits = struct.unpack(">4Q", client.ask(200, string(b"limits@openssh.com")).body)
        assert limits[1:3] == (255 * 1024, 255 * 1024)
        assert len(client.ask(200, string(b"statvfs@openssh.com") + string(b"/")).body) == 11 * 8


def test_a_write_with_trailing_bytes_is_taken(zone: LandingZone) -> None:
    """Go clients from before 2023 send some."""
    with raw(zone) as client:
        handle = client.open(b"/uploads/list.csv").handle
        assert client.write(handle, 0, LIST, trailing=b"\0" * 64).status == 0
        assert client.close(handle).status == 0
    assert zone.visible() == {"/uploads/list.csv": LIST}


def test_overwriting_makes_a_new_file(zone: LandingZone) -> None:
    """Who reads the published file goes on reading that one; the new one is another arrival (rule L3)."""
    with raw(zone) as client:
        upload(client, b"/uploads/list.csv", b"first\n")
        reading = client.open(b"/uploads/list.csv", 0x1).handle
        upload(client, b"/uploads/list.csv", b"second\n")
        answer = client.ask(5, string(reading) + struct.pack(">QI", 0, 100))
        assert answer.body == string(b"first\n")
    assert zone.visible() == {"/uploads/list.csv": b"second\n"}
    assert len({arrival.fingerprint for arrival in zone.arrivals()}) == 2


def test_appending_and_resuming_are_refused_with_a_clear_word(zone: LandingZone, local: Path, tmp_path: Path) -> None:
    """`put -a` and `reput` would write into what has landed: the client is told to send the whole file."""
    longer = tmp_path / "longer.csv"
    longer.write_bytes(LIST * 2)
    run(zone, f"put {local} /uploads/list.csv")
    assert run(zone, f"reput {longer} /uploads/list.csv", check=False).returncode == 1
    assert zone.visible() == {"/uploads/list.csv": LIST}
    with raw(zone) as client:
        assert client.open(b"/uploads/list.csv", 0x2).message == "Resuming is not supported; send the whole file again"
        assert client.open(b"/uploads/list.csv", 0x6).message == "Appending is not supported; send the whole file again"


def test_two_clients_with_one_name_do_not_mix(zone: LandingZone) -> None:
    """Each writes its own file; whoever closes last has the name."""
    with raw(zone) as one, raw(zone) as two:
        first, second = one.open(b"/uploads/list.csv").handle, two.open(b"/uploads/list.csv").handle
        for number in range(20):
            one.write(first, number * 1000, b"1" * 1000)
            two.write(second, number * 1000, b"2" * 1000)
        assert two.close(second).status == 0
        assert zone.visible() == {"/uploads/list.csv": b"2" * 20000}
        assert one.close(first).status == 0
        assert zone.visible() == {"/uploads/list.csv": b"1" * 20000}
    assert len(zone.arrivals()) == 2


# The disk


class FullAfter:
    """A disk on which only so many bytes have room, over all files."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, descriptor: int, payload: memoryview, offset: int) -> int:
        """Write what fits, as a real disk does: the last write is a short one."""
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = os.pwrite(descriptor, payload[: self.room], offset)
        self.room -= count
        return count


def test_a_full_disk_is_an_error_to_the_client(tmp_path: Path, big: Path) -> None:
    """The client learns it, although it closes the file properly; nothing of it is kept."""
    with LandingZone(tmp_path / "zone", disk=Disk(write=FullAfter(5 * MIB + 7).write)) as zone:
        done = run(zone, f"put {big} /uploads/big.csv", check=False)
        assert done.returncode == 1
        assert unconfirmed(zone) == "disk_full"


@contextmanager
def small_disk(where: Path, kind: str) -> Iterator[None]:
    """Have a small file system of its own at `where`: in memory, or one that allocates late and keeps a journal."""
    where.mkdir()
    source, options = "none", "size=16m"
    if kind == "ext4":
        image = where.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(16 * MIB)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
        source, options = str(image), "loop"
    command = ["mount", "-t", kind, "-o", options, source, str(where)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip(f"needs the right to mount {kind}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(where)], check=True)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root, to mount a small disk")
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_really_full_file_system_is_an_error_to_the_client(tmp_path: Path, big: Path, local: Path, kind: str) -> None:
    """The same on a real one; what was acknowledged before is still there, and there is room again afterwards."""
    small = tmp_path / "zone"
    with small_disk(small, kind), LandingZone(small) as zone:
        run(zone, f"put {local} /uploads/big.csv")
        assert run(zone, f"put {big} /uploads/big.csv", check=False).returncode == 1
        zone.wait_for("landing.upload_unconfirmed")
        assert zone.visible() == {"/uploads/big.csv": LIST}
        assert zone.incoming() == []
        run(zone, f"put {local} /uploads/again.csv")


@pytest.mark.parametrize(
    ("limits", "account", "reason"),
    [({"max_file_size": "5MB"}, {}, "file_too_large"), ({}, {"quota": "20MB"}, "quota_used_up")],
)
def test_a_file_for_which_there_is_no_room_is_an_error_to_the_client(
    tmp_path: Path, big: Path, local: Path, limits: dict[str, object], account: dict[str, object], reason: str
) -> None:
    """Nothing of it is kept, what was acknowledged stays, and smaller files are taken (rule L8)."""
    with LandingZone(tmp_path / "zone", limits=limits, account=account) as zone:
        run(zone, f"put {local} /uploads/first.csv")
        assert run(zone, f"put {big} /uploads/big.csv", check=False).returncode == 1
        assert zone.wait_for("landing.upload_unconfirmed")["reason"] == reason
        run(zone, f"put {local} /uploads/second.csv")
        assert zone.visible() == dict.fromkeys(("/uploads/first.csv", "/uploads/second.csv"), LIST)
        assert zone.incoming() == []


def test_uploads_are_refused_before_the_disk_is_full_until_there_is_room(tmp_path: Path, local: Path) -> None:
    """The client is told why, the log once, and a reload that lowers the floor ends it (rule L8)."""
    with LandingZone(tmp_path / "zone", limits={"min_free": "1000TB"}) as zone:
        assert run(zone, f"put {local} /uploads/list.csv", check=False).returncode == 1
        with raw(zone) as client:
            assert client.open(b"/uploads/list.csv").message == "The disk is nearly full; send the file again later"
        assert len(zone.events("disk.low")) == 1
        assert [line["reason"] for line in zone.events("landing.upload_refused")] == ["disk_low"] * 2
        zone.limits["min_free"] = "1kB"
        zone.loop.call_soon_threadsafe(zone.server.reload, zone.settings())
        run(zone, f"put {local} /uploads/list.csv")
        assert len(zone.events("disk.recovered")) == 1


def test_a_disk_that_loses_bytes_is_an_error_to_the_client(tmp_path: Path, local: Path) -> None:
    """fsync fails: the client is not told OK."""

    def sync(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with LandingZone(tmp_path / "zone", disk=Disk(sync=sync)) as zone:
        assert run(zone, f"put {local} /uploads/list.csv", check=False).returncode == 1
        assert unconfirmed(zone) == "not_durable"


def test_memory_is_bounded_while_a_fast_client_meets_a_slow_disk(tmp_path: Path) -> None:
    """A client that sends ahead is slowed down, however often its operations have to wait for the disk.

    asyncssh reopens its whole window with the first bytes it delivers after a pause: whoever pauses for each operation
    takes 4 MiB more each time.
    """
    turns = threading.Semaphore(0)

    def sync(descriptor: int) -> None:
        assert turns.acquire(timeout=30)
        os.fsync(descriptor)

    operations, block, pushed = 200, bytes(32768), 0
    with LandingZone(tmp_path / "zone", disk=Disk(sync=sync)) as zone, raw(zone) as client:
        handle = client.open(b"/uploads/list.csv").handle
        client.channel.settimeout(5)  # longer than any disk takes for one turn
        with suppress(TimeoutError):
            while pushed < 200 * MIB:
                client.send(200, string(b"fsync@openssh.com") + string(handle))
                client.send(6, string(handle) + struct.pack(">Q", pushed) + string(block))
                pushed += len(block)
                if pushed > 2 * MIB and operations:
                    operations -= 1
                    turns.release()
        assert operations == 0
        assert pushed < 200 * len(block) + 10 * MIB
        turns.release(1_000_000)


def test_memory_is_bounded_while_a_client_does_not_take_its_answers(zone: LandingZone, big: Path) -> None:
    """Whoever asks for much and reads nothing is answered when it reads."""
    run(zone, f"put {big} /uploads/big.csv")
    content = big.read_bytes()
    size = 255 * 1024
    with raw(zone) as client:
        handle = client.open(b"/uploads/big.csv", 0x1).handle
        tracemalloc.start()
        try:
            offsets = range(0, len(content), size)
            for offset in offsets:
                client.send(5, string(handle) + struct.pack(">QI", offset, size))
            with raw(zone) as other:
                for _ in range(200):
                    assert other.ask(17, string(b"/uploads/big.csv")).kind == 105
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 12 * MIB
        received = b"".join(client.receive().body[4:] for _ in offsets)
    assert received == content


# The end of the service


def test_draining_lets_open_uploads_end(zone: LandingZone) -> None:
    """Nobody new comes in and nothing new begins; what is open may be closed, and then everybody is put out."""
    with raw(zone) as client:
        handle = client.open(b"/uploads/list.csv").handle
        drained = threading.Thread(target=zone.drain, args=[timedelta(seconds=30)])
        drained.start()
        until(lambda: zone.server.stopping, "the landing zone to stop")
        assert client.open(b"/uploads/second.csv").status == 4
        client.write(handle, 0, LIST)
        assert client.close(handle).status == 0
        drained.join(30)
        assert not drained.is_alive()
    assert zone.visible() == {"/uploads/list.csv": LIST}
    assert run(zone, "pwd", check=False).returncode == 255


def test_draining_ends_at_its_deadline(zone: LandingZone) -> None:
    """An upload that does not end in time is given up."""
    with raw(zone) as client:
        client.write(client.open(b"/uploads/list.csv").handle, 0, LIST)
        zone.drain(timedelta(milliseconds=50))
        assert unconfirmed(zone) == "stopping"


def test_an_account_taken_out_is_put_out(zone: LandingZone) -> None:
    """A reload ends the sessions of an account that is gone; the others go on."""
    with raw(zone) as client, RawSftp(zone.port, "other", zone.key) as other:
        client.write(client.open(b"/uploads/list.csv").handle, 0, LIST)
        zone.loop.call_soon_threadsafe(zone.server.reload, zone.settings("other"))
        assert unconfirmed(zone) == "account_removed"
        assert other.ask(16, string(b".")).kind == 104
    assert run(zone, "pwd", check=False).returncode == 255
