"""The disk and the database refuse: a clear word, nothing lost, and the service goes on by itself where that is safe.

Calls of the real daemon are made to fail by the tracer (`parts.tracer`); as root, real file systems do it, too.
"""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from parts.lists import phones
from parts.play import Play, empty_database
from parts.promise import Books
from parts.service import RELAY
from parts.sshd import NEEDS_SSHD, Sshd
from parts.tracer import can_fail_calls

from relay.model import DeliveryState, ExportState

pytestmark = NEEDS_SSHD

CAN_FAIL_CALLS = pytest.mark.skipif(not can_fail_calls(), reason="calls can be made to fail on x86-64 only")
IS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount file systems")

CHANGES = r"daemon (?!log|send)\w+ .*"
"""Every step of the daemon that changes the disk."""


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Sshd]:
    """A real upstream."""
    with Sshd(tmp_path / "upstream") as server:
        yield server


class Disk:
    """A disk that can be broken: while it is, the steps of the daemon that match fail."""

    def __init__(self, directory: Path, state: Path, step: str, error: str, *, times: int | None = None) -> None:
        self._broken = directory / "broken"
        fault = {"step": step, "error": error, "times": times, "while": str(self._broken)}
        self.plan: dict[str, Any] = {"root": str(state), "report": str(directory / "steps"), "fault": fault}

    def breaks(self) -> None:
        """From now on."""
        self._broken.touch()

    def is_repaired(self) -> None:
        """From now on all is well."""
        self._broken.unlink()


def all_sent(books: Books, count: int) -> bool:
    """Whether so many lists are sent, and nothing else is under way."""
    return books.settled and sum(it.state is DeliveryState.SENT for it in books.deliveries) == count


@CAN_FAIL_CALLS
@pytest.mark.parametrize(
    ("error", "reason"), [("ENOSPC", "disk_full"), ("EIO", "disk_failing"), ("EROFS", "disk_failing")]
)
def test_the_service_stands_still_while_the_disk_refuses(
    tmp_path: Path, upstream: Sshd, error: str, reason: str
) -> None:
    """It says so once with a hint, refuses uploads, loses nothing, and goes on by itself."""
    play = Play(tmp_path / "relay", upstream, settle="1s")
    play.with_database()
    disk = Disk(tmp_path, play.setup.state, CHANGES, error)

    def scene(play: Play) -> None:
        play.upload("/uploads/first.csv", phones(50, "VIP"))
        disk.breaks()
        assert play.try_to_upload("/uploads/second.csv", phones(40, "Lapsed"))
        suspended = play.service.wait_for("relay.suspended")
        assert suspended["hint"]
        assert suspended["reason"] in {reason, "disk_failing", "disk_read_only"}
        disk.is_repaired()
        play.service.wait_for("relay.resumed")
        assert not play.service.named("relay.interrupted")
        play.upload("/uploads/second.csv", phones(40, "Lapsed"))
        play.wait(lambda books: all_sent(books, 2), "both lists to be sent")
        play.stop()

    assert play.live(scene, disk.plan)
    play.check()
    assert len(play.lives[0]) < 100, "it says so over and over"


@CAN_FAIL_CALLS
def test_a_start_on_a_disk_that_refuses_waits_until_it_does_not(tmp_path: Path, upstream: Sshd) -> None:
    """The service manager's next start is not needed, and a person neither."""
    play = Play(tmp_path / "relay", upstream)
    disk = Disk(tmp_path, play.setup.state, CHANGES, "ENOSPC")
    disk.breaks()

    def scene(play: Play) -> None:
        play.upload("/uploads/list.csv", phones(50, "VIP"))
        play.wait(lambda books: all_sent(books, 1), "the list to be sent")
        play.stop()

    def begin(play: Play) -> None:
        play.service.wait_for("relay.suspended", reason="disk_full")
        disk.is_repaired()
        play.service.wait_for("relay.ready")
        scene(play)

    assert play.live(begin, disk.plan, ready=False)
    play.check()


@CAN_FAIL_CALLS
def test_a_service_that_stands_still_stops_when_it_is_told_to(tmp_path: Path, upstream: Sshd) -> None:
    """In good order: there is nothing in hand."""
    play = Play(tmp_path / "relay", upstream)
    disk = Disk(tmp_path, play.setup.state, CHANGES, "EIO")
    disk.breaks()

    def scene(play: Play) -> None:
        play.service.wait_for("relay.suspended")
        play.stop()

    assert play.live(scene, disk.plan, ready=False)


@CAN_FAIL_CALLS
def test_a_stop_that_the_disk_refuses_is_a_stop_all_the_same(tmp_path: Path, upstream: Sshd) -> None:
    """What fails while the service goes down is no reason to begin anew."""
    play = Play(tmp_path / "relay", upstream)
    disk = Disk(tmp_path, play.setup.state, CHANGES, "EIO")

    def scene(play: Play) -> None:
        disk.breaks()
        play.stop()

    assert play.live(scene, disk.plan)
    assert [line["event"] for line in play.lives[0]].count("relay.ready") == 1


@CAN_FAIL_CALLS
def test_a_reload_while_the_service_stands_still_does_not_end_it(tmp_path: Path, upstream: Sshd) -> None:
    """What frees the disk may come with other settings: they are read when it goes on."""
    play = Play(tmp_path / "relay", upstream)
    disk = Disk(tmp_path, play.setup.state, CHANGES, "ENOSPC")
    disk.breaks()

    def scene(play: Play) -> None:
        play.service.wait_for("relay.suspended")
        play.service.reload()
        disk.is_repaired()
        play.service.wait_for("relay.ready")
        play.stop()

    assert play.live(scene, disk.plan, ready=False)


@CAN_FAIL_CALLS
def test_a_kernel_without_watches_to_give_is_no_full_disk(tmp_path: Path, upstream: Sshd) -> None:
    """It answers as a full disk does; the service says what it is and goes on without the hints."""
    play = Play(tmp_path / "relay", upstream)
    play.with_database()
    disk = Disk(tmp_path, play.setup.state, r"daemon inotify_add_watch .*", "ENOSPC")
    disk.breaks()

    def scene(play: Play) -> None:
        assert "max_user_watches" in play.service.wait_for("landing.watch_refused", reason="no_watches")["hint"]
        play.upload("/uploads/list.csv", phones(50, "VIP"))
        play.wait(lambda books: all_sent(books, 1), "the list to be sent")
        play.stop()

    assert play.live(scene, disk.plan)
    play.check()
    assert not play.service.named("relay.suspended")


@CAN_FAIL_CALLS
def test_a_rewrite_without_room_waits_for_it(tmp_path: Path, upstream: Sshd) -> None:
    """A full disk is no fault of the export's: it is not quarantined after three attempts, and goes on by itself."""
    play = Play(tmp_path / "relay", upstream)
    play.with_database()
    disk = Disk(tmp_path, play.setup.state, r"rewrite write .*drafts.*", "ENOSPC")
    disk.breaks()

    def scene(play: Play) -> None:
        play.upload("/uploads/list.csv", phones(50, "VIP"))
        low = play.service.wait_for("disk.low")
        (export,) = play.books().exports
        assert export.id in low["detail"]
        play.wait(lambda _: _failures(tmp_path, "rewrite write") > 3, "more attempts than a crash would get")
        assert play.books().exports[0].state is ExportState.RECEIVED
        assert play.books().exports[0].attempts == 0
        disk.is_repaired()
        play.wait(lambda books: all_sent(books, 1), "the list to be sent")
        play.service.wait_for("disk.recovered")
        assert len(play.service.named("disk.low")) == 1
        play.stop()

    assert play.live(scene, disk.plan)
    play.check()


def _failures(directory: Path, step: str) -> int:
    return (directory / "steps").read_text().count(step)


@CAN_FAIL_CALLS
def test_a_rewrite_that_the_disk_fails_each_time_costs_that_export_only(tmp_path: Path, upstream: Sshd) -> None:
    """The rewrite is tried three times; then the export waits for a person, and all others go on."""
    play = Play(tmp_path / "relay", upstream)
    play.with_database()
    disk = Disk(tmp_path, play.setup.state, r"rewrite fsync .*/drafts/1.csv", "EIO", times=3)
    disk.breaks()

    def scene(play: Play) -> None:
        play.upload("/uploads/poisoned.csv", phones(50, "VIP"))
        quarantined = play.service.wait_for("export.quarantined")
        assert quarantined["reason"] == "rewrite_crashed"
        assert "3 times" in quarantined["detail"]
        play.upload("/uploads/good.csv", phones(40, "VIP"))
        play.wait(lambda books: all_sent(books, 1), "the good list to be sent")
        play.stop()

    assert play.live(scene, disk.plan)
    play.check()


def test_a_rewrite_that_is_killed_each_time_costs_that_export_only(tmp_path: Path, upstream: Sshd) -> None:
    """A file that takes its rewrite down three times is quarantined, and the service goes on."""
    play = Play(tmp_path / "relay", upstream)
    play.with_database()

    def killing(books: Books) -> bool:
        children = Path(f"/proc/{play.service.pid}/task/{play.service.pid}/children").read_text().split()
        for child in map(int, children):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended in the meantime
                if b"relay.rewrite" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(child, signal.SIGKILL)
        return any(it.state is ExportState.QUARANTINED for it in books.exports)

    def scene(play: Play) -> None:
        # Long enough to be met in its rewrite.
        play.upload("/uploads/poisoned.csv", phones(50, "VIP") * 20_000)
        play.wait(killing, "the export to be given up")
        (export,) = play.books().exports
        assert (export.reason, export.attempts) == ("rewrite_crashed", 3)
        play.upload("/uploads/good.csv", phones(40, "VIP"))
        play.wait(lambda books: all_sent(books, 1), "the good list to be sent")
        play.stop()

    assert play.live(scene)
    play.check()


def test_a_locked_database_is_waited_for(tmp_path: Path, upstream: Sshd) -> None:
    """Somebody's backup that holds the lock for too long costs time only."""
    play = Play(tmp_path / "relay", upstream, settle="1s")
    play.with_database()

    def scene(play: Play) -> None:
        play.upload("/uploads/list.csv", phones(50, "VIP"))
        other = sqlite3.connect(play.database, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            suspended = play.service.wait_for("relay.suspended")
            assert suspended["reason"] == "database_locked"
            assert "relay.db" in suspended["detail"]
        finally:
            other.close()
        play.service.wait_for("relay.resumed")
        play.wait(lambda books: all_sent(books, 1), "the list to be sent")
        play.stop()

    assert play.live(scene)
    play.check()


@pytest.mark.parametrize("damage", ["no database at all", "a page in its middle"])
def test_a_damaged_database_is_refused(tmp_path: Path, upstream: Sshd, damage: str) -> None:
    """A service that went on with it could give a name twice: it ends at once, says which file, and what to do."""
    play = Play(tmp_path / "relay", upstream)
    play.with_database()
    content = bytearray(empty_database())
    if damage == "no database at all":
        content[:100] = bytes(100)
    else:
        middle = len(content) // 4096 // 2 * 4096
        content[middle : middle + 4096] = b"\xa5" * 4096
    play.database.write_bytes(content)
    done = subprocess.run(
        [*RELAY, "--config", str(play.setup.config), "serve"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert str(play.database) in done.stderr
    assert "backup" in done.stderr
    assert play.database.read_bytes() == content, "what is left of it was changed"


def test_a_second_daemon_on_the_same_state_is_refused(tmp_path: Path, upstream: Sshd) -> None:
    """It says that there is one, and leaves that one alone."""
    play = Play(tmp_path / "relay", upstream)
    play.with_database()

    def scene(play: Play) -> None:
        second = subprocess.run(
            [*RELAY, "--config", str(play.setup.config), "serve"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert second.returncode == 1
        assert "another relay is running" in second.stderr
        assert "hint" in second.stderr
        play.upload("/uploads/list.csv", phones(50, "VIP"))
        play.wait(lambda books: all_sent(books, 1), "the list to be sent")
        play.stop()

    assert play.live(scene)
    play.check()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB, mounted where the state of a relay in `tmp_path` goes."""
    state = tmp_path / "relay" / "state"
    state.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", str(state)], check=True)
    yield state
    subprocess.run(["umount", str(state)], check=True)


@IS_ROOT
def test_a_disk_that_is_really_full(tmp_path: Path, upstream: Sshd, small_disk: Path) -> None:
    """An upload that does not fit is refused and not kept; what was acknowledged goes out once there is room."""
    play = Play(tmp_path / "relay", upstream, settle="1s")
    play.with_database()
    ballast = small_disk / "ballast"

    def scene(play: Play) -> None:
        play.upload("/uploads/list.csv", phones(50, "VIP"))
        with pytest.raises(OSError, match="No space"):
            ballast.write_bytes(bytes(8 << 20))
        assert play.try_to_upload("/uploads/more.csv", phones(100, "Lapsed"))
        play.service.wait_for("relay.suspended", reason="disk_full")
        ballast.unlink()
        play.service.wait_for("relay.resumed")
        play.wait(lambda books: all_sent(books, 1), "the list to be sent")
        play.stop()

    assert play.live(scene)
    play.check()


@IS_ROOT
def test_a_disk_that_becomes_read_only(tmp_path: Path, upstream: Sshd, small_disk: Path) -> None:
    """As kernels do with a file system that they no longer trust; it goes on when it is mounted for writing again."""
    play = Play(tmp_path / "relay", upstream)
    play.with_database()

    def scene(play: Play) -> None:
        play.upload("/uploads/list.csv", phones(50, "VIP"))
        play.wait(lambda books: all_sent(books, 1), "the list to be sent")
        play.stop()

    def begin(play: Play) -> None:
        play.service.wait_for("relay.suspended", reason="disk_read_only")
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        play.service.wait_for("relay.ready")
        scene(play)

    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert play.live(begin, ready=False)
    play.check()


@IS_ROOT
@pytest.mark.parametrize("mounted", ["landing", "exports", "exports/sirendenim"])
def test_a_state_on_two_file_systems_is_refused(tmp_path: Path, upstream: Sshd, mounted: str) -> None:
    """Bytes could not move from one to the other, so it says so before it listens; a bind mount counts, too."""
    play = Play(tmp_path / "relay", upstream)
    there, other = play.setup.state / mounted, tmp_path / "other"
    there.mkdir(parents=True)
    other.mkdir()
    subprocess.run(["mount", "--bind", str(other), str(there)], check=True)
    try:
        done = subprocess.run(
            [*RELAY, "--config", str(play.setup.config), "serve"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        subprocess.run(["umount", str(there)], check=True)
    assert done.returncode == 1
    assert str(there) in done.stderr
    assert "file system" in done.stderr
