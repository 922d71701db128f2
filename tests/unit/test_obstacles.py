"""What lies in a landing zone and cannot be read, taken, removed or even seen is in nobody's way (rule L10)."""

import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from parts.strangers import AS_ROOT, NOBODY, as_root, as_the_relays_user
from parts.zone import ACCOUNT, Zone

from relay.log import configure
from relay.model import ArrivalState, ExportState
from relay.spool import Look, Spool, UnreadableError, Unseen, hash_taken

pytestmark = AS_ROOT

GOOD, BAD = "/uploads/good.csv", "/uploads/bad.csv"
QUIET = 60
DAY = timedelta(days=1).total_seconds()

Opened = Callable[..., Zone]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Give what opens a zone of an ordinary user; a test goes on as that user."""
    zones: list[Zone] = []
    # What is imported when it is first used may lie where only root can read it.
    with Zone(tmp_path / "imports") as imports:
        imports.put(GOOD)
        imports.scan(after=3)
    with as_the_relays_user() as directory:

        def open_zone(**source: str) -> Zone:
            zones.append(Zone(directory / "state", **source))
            return zones[-1]

        yield open_zone
        for zone in zones:
            zone.store.close()


@pytest.fixture
def told() -> Iterator[Callable[[], list[dict[str, str]]]]:
    """Give what the log tells of paths that cannot be used."""
    log = io.StringIO()
    configure(log)

    def lines() -> list[dict[str, str]]:
        found = map(json.loads, log.getvalue().splitlines())
        return [it for it in found if it["event"] == "landing.path_blocked"]

    yield lines
    configure()


Told = Callable[[], list[dict[str, str]]]


def place(zone: Zone, path: str) -> Path:
    """Where a path of the client's lies on disk."""
    return zone.spool.landing(ACCOUNT) / path.lstrip("/")


def take_from_the_relay(zone: Zone, path: str) -> None:
    """Have a file or directory belong to root, and to nobody else."""
    with as_root():
        os.chown(place(zone, path), 0, 0)
        place(zone, path).chmod(0o700 if place(zone, path).is_dir() else 0o600)


def give_to_the_relay(zone: Zone, path: str) -> None:
    """Do what the hint says."""
    with as_root():
        os.chown(place(zone, path), NOBODY, NOBODY)


@contextmanager
def out_of_sight(zone: Zone, path: str) -> Iterator[None]:
    """Have a directory that cannot be looked into for a while."""
    place(zone, path).chmod(0)
    yield
    place(zone, path).chmod(0o700)


@pytest.mark.parametrize("noted", [True, False], ids=["linked", "copied"])
def test_a_file_that_cannot_be_read_keeps_no_other_back(opened: Opened, told: Told, *, noted: bool) -> None:
    """It is said once with what to do, and taken when that is done, at once."""
    zone = opened()
    zone.put(BAD, noted=noted)
    take_from_the_relay(zone, BAD)
    zone.put(GOOD, b"2125550102,VIP\n")
    assert len(zone.scan(after=QUIET + 1).received) == 1
    assert zone.states() == {BAD: ArrivalState.LANDED, GOOD: ArrivalState.CLAIMED}
    for _ in range(5):
        assert zone.scan(after=30).received == ()
    (line,) = told()
    assert (line["account"], line["path"], line["level"]) == (ACCOUNT, BAD, "error")
    assert line["reason"] in {"Permission denied", "Operation not permitted"}
    assert f"chown -R --reference={zone.spool.landing(ACCOUNT)} {place(zone, BAD)}" in line["hint"]
    give_to_the_relay(zone, BAD)
    assert len(zone.scan().received) == 1
    assert zone.states()[BAD] is ArrivalState.CLAIMED


def test_a_file_that_stays_unreadable_is_tried_less_and_less_often(opened: Opened) -> None:
    """A disk that cannot read a sector is not asked for it every second."""
    zone = opened()
    zone.put(BAD)
    take_from_the_relay(zone, BAD)
    zone.scan(after=3)
    rests = []
    for _ in range(8):
        again_at = zone.scan().look_again_at
        assert again_at is not None
        rests.append((again_at - zone.now).total_seconds())
        zone.now = again_at
        zone.scan()
    assert rests[0] < 30
    assert rests == sorted(rests)
    assert 300 < rests[-1] <= 900


@contextmanager
def bad_sector(file: Path) -> Iterator[None]:
    """Have a file for a while whose first byte cannot be read, for whatever reason the system has."""
    subprocess.run(["mount", "--bind", f"/proc/{os.getpid()}/mem", file], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", file], check=True)


def test_a_bad_sector_concerns_its_file_alone(tmp_path: Path, told: Told) -> None:
    """Where reading fails, nothing is left of the attempt, and all others go on."""
    with Zone(tmp_path) as zone:
        place(zone, BAD).write_bytes(b"2125550101,VIP\n")
        with bad_sector(place(zone, BAD)):
            zone.put(GOOD)
            # The file is as old as the mount, which a busy machine takes its time for.
            assert len(zone.scan(after=QUIET + 60).received) == 1
            assert zone.states() == {BAD: ArrivalState.LANDED, GOOD: ArrivalState.CLAIMED}
            assert len(list(zone.spool.export_directories())) == 1
        assert [it["reason"] for it in told()] == ["Input/output error"]
        zone.scan(after=30)
        assert zone.states()[BAD] is ArrivalState.CLAIMED


def test_a_file_is_only_received_when_its_bytes_can_be_read(opened: Opened, told: Told) -> None:
    """One that its client closed is linked, which needs no look at them: nothing is left of it until they can be."""
    zone = opened()
    zone.put(BAD)
    place(zone, BAD).chmod(0)
    zone.put(GOOD, b"2125550102,VIP\n")
    assert len(zone.scan(after=3).received) == 1
    assert zone.states() == {BAD: ArrivalState.LANDED, GOOD: ArrivalState.CLAIMED}
    assert len(list(zone.spool.export_directories())) == len(told()) == 1
    place(zone, BAD).chmod(0o600)
    assert len(zone.scan().received) == 1


def test_bytes_that_the_disk_has_lost_are_its_files_trouble() -> None:
    """Reading them is refused by the disk, which stops nothing else."""
    with pytest.raises(UnreadableError, match="Input/output error"):
        hash_taken(BAD, Path("/proc/self/mem"))


@pytest.mark.parametrize("group", ["X", "X.csv"])
def test_an_export_with_an_unreadable_part_waits_for_it(opened: Opened, told: Told, group: str) -> None:
    """It is never taken without that part, and an export beside it goes on."""
    zone = opened(group="directory", complete="quiet")
    one, two = f"/uploads/{group}/0000001.csv", f"/uploads/{group}/0000002.csv"
    zone.put_all(one, two, "/uploads/Y/0000001.csv")
    take_from_the_relay(zone, two)
    zone.scan(after=3)
    assert [it.path for it in map(zone.store.export, zone.scan(after=QUIET).received) if it] == ["/uploads/Y/"]
    zone.scan(after=DAY)
    assert len(told()) == 1
    give_to_the_relay(zone, two)
    (received,) = zone.scan().received
    export = zone.store.export(received)
    assert export is not None
    assert zone.sources(export) == [one, two]


# What could not be looked at is not gone


def test_what_was_not_seen_is_not_withdrawn(opened: Opened, told: Told) -> None:
    """A directory that cannot be looked into: its files stay as they are noted, and what is gone elsewhere is."""
    zone = opened()
    zone.put("/uploads/hidden/list.csv")
    zone.put("/uploads/probe")
    zone.remove("/uploads/probe")
    with out_of_sight(zone, "/uploads/hidden"):
        zone.scan(after=3)
        zone.scan(after=3)
    assert zone.states() == {"/uploads/hidden/list.csv": ArrivalState.LANDED, "/uploads/probe": ArrivalState.WITHDRAWN}
    (line,) = told()
    assert (line["path"], line["reason"]) == ("/uploads/hidden", "Permission denied")
    assert len(zone.scan(after=3).received) == 1
    assert [it.state for it in zone.arrivals("/uploads/hidden/list.csv")] == [ArrivalState.CLAIMED]


def test_a_directory_that_hides_again_is_said_again(opened: Opened, told: Told) -> None:
    """Once for as long as it lasts."""
    zone = opened()
    place(zone, "/uploads/hidden").mkdir()
    for _ in range(2):
        with out_of_sight(zone, "/uploads/hidden"):
            zone.scan(after=3)
            zone.scan(after=3)
        zone.scan(after=3)
    assert len(told()) == 2


def test_an_export_whose_directory_is_not_seen_is_not_withdrawn(opened: Opened) -> None:
    """It waits, however long, and goes on with the files that it had; its marker is not given up either."""
    zone = opened(group="directory", complete="done")
    zone.put_all("/uploads/X.csv/0000001.csv", "/uploads/X.csv/0000002.csv")
    zone.scan(after=3)
    with out_of_sight(zone, "/uploads/X.csv"):
        zone.put("/uploads/X.csv.DONE", b"")
        zone.scan(after=3)
        zone.scan(after=DAY)
        assert zone.the_export().state is ExportState.GATHERING
    zone.scan(after=3)
    export = zone.the_export()
    assert (export.state, len(zone.sources(export))) == (ExportState.RECEIVED, 2)


class Unsure(Spool):
    """A spool on a disk that does not say what one entry of a directory is."""

    def look(self, account: str) -> Look:
        """Look, and do not get to know what the second part is."""
        files = tuple(it for it in super().look(account).files if not it.path.endswith("2.csv"))
        return Look(files, (Unseen("/uploads/X/0000002.csv", OSError(5, ""), is_directory=False),))


def test_an_export_that_may_have_more_is_not_taken(tmp_path: Path) -> None:
    """An entry of its directory of which nothing is known may be one of its files."""
    with Zone(tmp_path, group="directory", complete="quiet") as zone:
        zone.put_all("/uploads/X/0000001.csv", "/uploads/X/0000002.csv", "/uploads/Y/0000001.csv")
        zone.scan(after=3)
        sure, zone.spool = zone.spool, Unsure(tmp_path)
        zone.restart(group="directory", complete="quiet")
        zone.scan(after=DAY)
        assert [it.path for it in zone.exports(ExportState.RECEIVED)] == ["/uploads/Y/"]
        zone.spool = sure
        zone.restart(group="directory", complete="quiet")
        zone.scan()
        assert {it.path for it in zone.exports(ExportState.RECEIVED)} == {"/uploads/X/", "/uploads/Y/"}


@pytest.mark.parametrize("path", ["/uploads/list.csv", "/uploads/hidden/list.csv"])
def test_a_claimed_file_that_was_not_seen_is_not_forgotten(opened: Opened, path: str) -> None:
    """Were it, it would come back as a new export: an old list, sent over a newer one."""
    zone = opened()
    zone.put(path)
    assert len(zone.scan(after=3).received) == 1
    zone.wait(DAY)
    with out_of_sight(zone, path.rpartition("/")[0]):
        zone.clear()
    assert [it.path for it in zone.spool.look(ACCOUNT).files] == [path]
    assert zone.scan(after=QUIET).received == ()
    zone.clear()
    assert zone.spool.look(ACCOUNT).files == ()
    assert zone.store.arrivals(in_view=True) == []


def test_a_file_that_cannot_be_removed_keeps_no_other_in_view(opened: Opened) -> None:
    """Its directory is root's; it stays known until it can be, and everything else leaves the view."""
    zone = opened()
    zone.put_all("/uploads/roots/list.csv", GOOD)
    assert len(zone.scan(after=3).received) == 2
    take_from_the_relay(zone, "/uploads/roots")
    with as_root():
        place(zone, "/uploads/roots").chmod(0o755)
    zone.wait(DAY)
    zone.clear()
    assert [it.path for it in zone.spool.look(ACCOUNT).files] == ["/uploads/roots/list.csv"]
    assert [it.path for it in zone.store.arrivals(in_view=True)] == ["/uploads/roots/list.csv"]
    give_to_the_relay(zone, "/uploads/roots")
    zone.wait(60)
    zone.clear()
    assert zone.store.arrivals(in_view=True) == []


def test_an_entry_of_unknown_kind_may_be_a_file_of_its_directory() -> None:
    """An export of that directory may lack it; of one that is known for a directory it does not."""
    error = OSError(5, "Input/output error")
    entry = Look((), (Unseen("/uploads/X/0000002.csv", error, is_directory=False),))
    below = Look((), (Unseen("/uploads/X/more", error, is_directory=True),))
    assert [
        entry.hides(it) for it in ("/uploads/X/", "/uploads/", "/uploads/X/0000002.csv", "/uploads/X/0000001.csv")
    ] == [
        True,
        False,
        True,
        False,
    ]
    assert [below.hides(it) for it in ("/uploads/X/", "/uploads/X/more/", "/uploads/X/more/1.csv")] == [
        False,
        True,
        True,
    ]
