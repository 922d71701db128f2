"""Bytes on disk: the layout, custody of landed files, rewrites taken over, and what is cleared away."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from parts.landing import until

from relay.model import Arrival, ArrivalState, RelayError
from relay.naming import source_name
from relay.spool import LandedFile, Spool, VanishedError, hash_file

CONTENT = b"2125550123,VIP\n"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A spool with one account."""
    spool = Spool(tmp_path / "state")
    spool.prepare(["amperity"])
    return spool


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Have this umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def put(spool: Spool, path: str = "/uploads/list.csv", content: bytes = CONTENT) -> Path:
    """Put a file into the landing zone, as a client would name it."""
    file = spool.landing("amperity") / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_bytes(content)
    return file


def seen(spool: Spool, path: str = "/uploads/list.csv") -> LandedFile:
    """What a scan finds under this path."""
    return next(file for file in spool.look("amperity").files if file.path == path)


def noted(file: LandedFile, *, confirmed: bool = True) -> Arrival:
    """The arrival of a file that a scan has found."""
    return Arrival(
        id=1,
        account="amperity",
        path=file.path,
        fingerprint=file.fingerprint,
        size=file.size,
        confirmed=confirmed,
        session=None,
        state=ArrivalState.LANDED,
        landed_at=file.changed_at,
        export_id=None,
    )


def below(directory: Path) -> set[str]:
    """Every file and directory below a directory."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def mode(path: Path) -> int:
    """The permissions of a file or directory."""
    return stat.S_IMODE(path.lstat().st_mode)


# Layout


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o277])
def test_every_directory_is_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    """Mode 0700 for all of them (rule R2)."""
    with umask(mask):
        Spool(tmp_path / "state").prepare(["amperity"])
    state = tmp_path / "state"
    assert below(state) == {
        "landing",
        "landing/amperity",
        "landing/amperity/uploads",
        "incoming",
        "incoming/amperity",
        "exports",
    }
    assert {mode(path) for path in (state, *state.rglob("*"))} == {0o700}


def test_a_lax_directory_is_made_private(tmp_path: Path) -> None:
    """What was there before gets its mode, too, and keeps what is in it."""
    state = tmp_path / "state"
    (state / "landing").mkdir(parents=True)
    (state / "landing").chmod(0o755)
    (state / "landing" / "kept").touch()
    Spool(state).prepare([])
    assert mode(state / "landing") == 0o700
    assert (state / "landing" / "kept").exists()


def test_a_link_in_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    """Nothing leads outside the state directory."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "landing").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RelayError, match="is a link"):
        Spool(tmp_path / "state").prepare(["amperity"])
    assert below(tmp_path / "elsewhere") == set()


def test_the_state_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    """A service manager may make it one."""
    (tmp_path / "private").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "private")
    Spool(tmp_path / "state").prepare(["amperity"])
    assert (tmp_path / "private" / "landing" / "amperity" / "uploads").is_dir()


def test_a_file_in_place_of_a_directory_is_reported(tmp_path: Path) -> None:
    """With its path, and nothing is removed."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "exports").write_text("mine", encoding="ascii")
    with pytest.raises(RelayError, match="exports cannot be made"):
        Spool(tmp_path / "state").prepare([])
    assert (tmp_path / "state" / "exports").read_text(encoding="ascii") == "mine"


def test_everything_must_be_on_one_file_system(spool: Spool) -> None:
    """A link cannot cross from one to another, so that is found at the start."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", spool.landing_zone], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        with pytest.raises(RelayError, match="a file system of its own"):
            spool.prepare(["amperity"])
    finally:
        subprocess.run(["umount", spool.landing_zone], check=True)


def test_one_daemon_at_a_time(spool: Spool) -> None:
    """A second one is refused, in this process or another, until the first has ended."""
    code = (
        "import sys; from pathlib import Path; from relay.model import RelayError; from relay.spool import Spool\n"
        "try:\n"
        "    with Spool(Path(sys.argv[1])).lock(): pass\n"
        "except RelayError as refusal:\n"
        "    sys.exit(f'{refusal} {refusal.hint}')\n"
    )
    command = [sys.executable, "-c", code, str(spool.database.parent)]
    with spool.lock():
        refused = subprocess.run(command, check=False, capture_output=True, text=True)
        with pytest.raises(RelayError, match="another relay is running"), spool.lock():
            pass
    assert refused.returncode == 1
    assert "another relay is running" in refused.stderr
    assert "state_dir" in refused.stderr
    assert subprocess.run(command, check=False).returncode == 0
    assert mode(spool.database.with_name("relay.lock")) == 0o600


def test_an_error_of_the_daemon_is_not_taken_for_a_lock(spool: Spool) -> None:
    """What goes wrong while the lock is held passes as it is, and lets go of the lock."""
    with pytest.raises(BlockingIOError), spool.lock():
        raise BlockingIOError
    with spool.lock():
        pass


def test_the_lock_tells_that_the_one_before_was_cut_off(spool: Spool) -> None:
    """A daemon that ended by itself, however badly, is over; one that was killed is known by what it left."""
    with spool.lock() as was_cut_off:
        assert not was_cut_off
    with pytest.raises(ValueError, match="a defect"), spool.lock():
        raise ValueError("a defect")
    with spool.lock() as was_cut_off:
        assert not was_cut_off
    killed = "import os, sys; from pathlib import Path; from relay.spool import Spool\n"
    killed += "with Spool(Path(sys.argv[1])).lock(): os._exit(1)\n"
    subprocess.run([sys.executable, "-c", killed, str(spool.database.parent)], check=False)
    with spool.lock() as was_cut_off:
        assert was_cut_off


# The landing zone


def test_a_scan_finds_files_as_the_client_names_them(spool: Spool) -> None:
    """At any depth, with size and identity."""
    file = put(spool, "/uploads/2026/list.csv")
    found = list(spool.look("amperity").files)
    assert [(it.path, it.size) for it in found] == [("/uploads/2026/list.csv", len(CONTENT))]
    status = file.stat()
    assert (found[0].fingerprint.inode, found[0].fingerprint.modified_ns) == (status.st_ino, status.st_mtime_ns)


def test_a_scan_sees_regular_files_only(spool: Spool, tmp_path: Path) -> None:
    """No link to a file or a directory, no pipe, no directory."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_bytes(CONTENT)
    uploads = spool.landing("amperity") / "uploads"
    (uploads / "link.csv").symlink_to(outside / "secret.csv")
    (uploads / "directory").symlink_to(outside)
    (uploads / "folder.csv").mkdir()
    os.mkfifo(uploads / "pipe.csv")
    assert spool.look("amperity").files == ()


def test_a_file_with_an_old_date_is_as_young_as_its_name(spool: Spool) -> None:
    """Whoever copies an old file keeps its date; how long it has rested says the change of the inode."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    os.utime(put(spool), (0, 0))
    assert seen(spool).changed_at >= before


def test_a_renamed_file_keeps_its_identity_and_a_new_one_has_another(spool: Spool) -> None:
    """That is how they are told apart."""
    file = put(spool)
    first = seen(spool).fingerprint
    file.rename(file.with_name("renamed.csv"))
    assert seen(spool, "/uploads/renamed.csv").fingerprint == first
    put(spool)
    assert seen(spool).fingerprint != first


# Custody


def test_a_file_that_its_client_closed_is_linked(spool: Spool) -> None:
    """The bytes are not moved, and stay when the client removes its name."""
    file = put(spool)
    export = spool.export("route", "route-x")
    taken = spool.take(noted(seen(spool)), export, source_name(1))
    assert taken == export / "source" / "0001" == spool.source("route", "route-x", "0001")
    assert taken.samefile(file)
    file.unlink()
    assert taken.read_bytes() == CONTENT
    assert {mode(directory) for directory in (export, export.parent, taken.parent)} == {0o700}


def test_a_file_put_there_by_other_means_is_copied(spool: Spool) -> None:
    """Whoever put it there may still write to it, but not to what was taken."""
    file = put(spool)
    with umask(0):
        taken = spool.take(noted(seen(spool), confirmed=False), spool.export("route", "route-x"), "0001")
    assert not taken.samefile(file)
    file.write_bytes(b"changed")
    assert taken.read_bytes() == CONTENT
    assert mode(taken) == 0o600


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_replaced_file_is_not_taken(spool: Spool, *, confirmed: bool) -> None:
    """Same name, same size, other bytes: not what was noted, and nothing is left of the attempt."""
    put(spool)
    arrival = noted(seen(spool), confirmed=confirmed)
    with open(spool.landing("amperity") / "uploads" / "list.csv", "rb"):  # noqa: PTH123  keeps the inode in use
        put(spool, content=CONTENT[::-1])
    with pytest.raises(VanishedError):
        spool.take(arrival, spool.export("route", "route-x"), "0001")
    assert below(spool.database.parent / "exports") == set()


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_file_written_to_since_is_not_taken(spool: Spool, *, confirmed: bool) -> None:
    """The same inode with another time of change is another file."""
    file = put(spool)
    arrival = noted(seen(spool), confirmed=confirmed)
    os.utime(file, ns=(0, arrival.fingerprint.modified_ns + 1))
    with pytest.raises(VanishedError):
        spool.take(arrival, spool.export("route", "route-x"), "0001")


@pytest.mark.parametrize("confirmed", [True, False])
@pytest.mark.parametrize("now", ["gone", "link", "directory is a link", "directory is a file"])
def test_what_is_no_longer_a_file_is_not_taken(spool: Spool, tmp_path: Path, now: str, *, confirmed: bool) -> None:
    """Nor is a link followed, in whatever part of the path, even if it leads to the very file."""
    file = put(spool, "/uploads/folder/list.csv")
    arrival = noted(seen(spool, "/uploads/folder/list.csv"), confirmed=confirmed)
    moved = tmp_path / "moved"
    if now.startswith("directory"):
        file.parent.rename(moved)
        if now == "directory is a link":
            file.parent.symlink_to(moved)
        else:
            file.parent.write_bytes(CONTENT)
    else:
        file.rename(moved)
        if now == "link":
            file.symlink_to(moved)
    with pytest.raises(VanishedError):
        spool.take(arrival, spool.export("route", "route-x"), "0001")
    assert below(spool.database.parent / "exports") == set()


def test_a_part_that_vanished_leaves_the_others(spool: Spool) -> None:
    """What was taken before stays taken."""
    put(spool)
    export = spool.export("route", "route-x")
    arrival = noted(seen(spool))
    first = spool.take(arrival, export, source_name(1))
    with pytest.raises(VanishedError):
        spool.take(replace(arrival, path="/uploads/second.csv"), export, source_name(2))
    assert below(export) == {"source", "source/0001"}
    assert first.read_bytes() == CONTENT


def test_a_name_of_any_bytes_is_taken(spool: Spool) -> None:
    """File names are bytes; on our side the file has a name of ours."""
    directory = os.fsencode(spool.landing("amperity") / "uploads")
    with open(os.path.join(directory, b"\xff.csv"), "wb") as file:  # noqa: PTH118, PTH123  pathlib knows text only
        file.write(CONTENT)
    found = spool.look("amperity").files[0]
    taken = spool.take(noted(found), spool.export("route", "route-x"), "0001")
    assert taken.read_bytes() == CONTENT


# Rewrites


def rewritten(spool: Spool, suffix: str = "aaaaaa", *, lists: int = 1) -> Path:
    """What a rewrite leaves in its work directory."""
    work = spool.work("route", "route-x", suffix)
    (work / "drafts").mkdir(parents=True)
    for ordinal in range(1, lists + 1):
        (work / "drafts" / f"{ordinal}.csv").write_text(suffix, encoding="ascii")
    (work / "rejects.csv").write_text(suffix, encoding="ascii")
    (work / "report.json").write_text(suffix, encoding="ascii")
    return work


def test_a_rewrite_is_taken_over(spool: Spool) -> None:
    """Its files are the export's; of the work directory nothing is left."""
    spool.adopt(rewritten(spool, lists=2))
    export = spool.export("route", "route-x")
    assert below(export) == {"drafts", "drafts/1.csv", "drafts/2.csv", "rejects.csv", "report.json"}


def test_a_later_rewrite_takes_the_place_of_an_earlier_one(spool: Spool) -> None:
    """Also of one that was cut off while it was taken over; lists of both are never mixed."""
    spool.adopt(rewritten(spool, lists=3))
    spool.export("route", "route-x").joinpath("report.json").unlink()
    spool.adopt(rewritten(spool, "bbbbbb"))
    export = spool.export("route", "route-x")
    assert below(export) == {"drafts", "drafts/1.csv", "rejects.csv", "report.json"}
    assert {path.read_text(encoding="ascii") for path in export.rglob("*.*")} == {"bbbbbb"}


def test_an_attempt_is_abandoned_whether_it_left_something_or_not(spool: Spool) -> None:
    """Abandoning twice, or after it was taken over, is no error."""
    work = rewritten(spool)
    spool.abandon(work)
    spool.abandon(work)
    assert not work.exists()


# What a kill leaves behind


def test_a_start_removes_what_nobody_knows_of(spool: Spool) -> None:
    """Sources whose custody was never noted, and attempts at rewriting; the rest stays."""
    put(spool)
    arrival = noted(seen(spool))
    spool.take(arrival, spool.export("route", "known"), "0001")
    spool.take(arrival, spool.export("route", "unknown"), "0001")
    (spool.export("route", "known") / "rewrite-abc123" / "drafts").mkdir(parents=True)
    spool.remove_abandoned({"known"}.__contains__)
    assert below(spool.export("route", "known").parent) == {"known", "known/source", "known/source/0001"}


def test_a_rewrite_that_outlived_its_daemon_does_not_keep_the_next_from_starting(spool: Spool) -> None:
    """It goes on writing files for a moment after the daemon was killed; its directory goes all the same."""
    drafts = spool.export("route", "known") / "rewrite-abc123" / "drafts"
    drafts.mkdir(parents=True)
    program = "import itertools, sys\nfor it in itertools.count(): open(f'{sys.argv[1]}/{it}', 'w').close()"
    with subprocess.Popen([sys.executable, "-c", program, drafts], stderr=subprocess.DEVNULL) as orphan:
        try:
            until((drafts / "1000").exists, "it writes")
            spool.remove_abandoned({"known"}.__contains__)
            assert orphan.wait(30) != 0, "it still finds its directory"
        finally:
            orphan.kill()
    assert not any(spool.export("route", "known").iterdir())


def test_a_start_keeps_what_was_rewritten(spool: Spool) -> None:
    """If the database does not know an export that was accepted once, it is the database that is wrong."""
    spool.adopt(rewritten(spool))
    spool.remove_abandoned(lambda _: False)
    assert (spool.export("route", "route-x") / "report.json").exists()


# What is cleared away


def test_an_upload_cut_off_is_kept_for_a_day(spool: Spool) -> None:
    """And then removed; one in progress is younger (rule R3)."""
    file = spool.incoming("amperity") / "upload"
    file.write_bytes(CONTENT)
    os.utime(file, (0, 0))
    now = datetime.now(UTC)
    spool.sweep_incoming(now + timedelta(hours=23, minutes=59))
    assert file.exists()
    spool.sweep_incoming(now + timedelta(hours=24, seconds=1))
    assert not file.exists()
    assert spool.incoming("amperity").is_dir()


def test_a_landed_file_is_taken_out_of_its_clients_view(spool: Spool) -> None:
    """What was taken of it stays, and nothing is left aside."""
    put(spool)
    file = seen(spool)
    taken = spool.take(noted(file), spool.export("route", "route-x"), "0001")
    spool.remove_landed("amperity", file)
    assert spool.look("amperity").files == ()
    assert taken.read_bytes() == CONTENT
    assert below(spool.incoming("amperity")) == set()


def test_a_new_file_of_the_same_name_stays_in_view(spool: Spool) -> None:
    """What its client put there since is another file, and keeps name, bytes and identity."""
    put(spool)
    file = seen(spool)
    taken = spool.take(noted(file), spool.export("route", "route-x"), "0001")
    put(spool, content=b"new")
    new = seen(spool)
    spool.remove_landed("amperity", file)
    assert seen(spool).fingerprint == new.fingerprint
    assert (spool.landing("amperity") / "uploads" / "list.csv").read_bytes() == b"new"
    assert taken.read_bytes() == CONTENT
    assert below(spool.incoming("amperity")) == set()


def test_a_file_that_is_gone_is_no_error_to_remove(spool: Spool) -> None:
    """Its client was quicker."""
    file = put(spool)
    landed = seen(spool)
    file.unlink()
    spool.remove_landed("amperity", landed)
    file.parent.rmdir()
    spool.remove_landed("amperity", landed)


def test_a_hash_is_that_of_the_whole_content(tmp_path: Path) -> None:
    """In hexadecimal, for a file of any size."""
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert hash_file(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
