"""How much may be stored: the floor of free disk, and an account's quota (rule L8)."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from relay import log
from relay.floor import Floor
from relay.landing.room import Allowance, NoRoomError, Room, Usage, measure


class Account:
    """An account whose use of the disk is what a test says, and its room."""

    def __init__(self) -> None:
        self.usage = Usage(total=0, entries=0)
        self.measurements = 0
        self.free = 1000
        self.room = Room(Allowance(file=100, total=250, entries=5), self._measured, Floor(lambda: self.free, least=500))

    def _measured(self) -> Usage:
        self.measurements += 1
        return self.usage


@pytest.fixture
def account() -> Account:
    """An account that stores nothing yet."""
    return Account()


@pytest.fixture
def written() -> io.StringIO:
    """What the log says."""
    stream = io.StringIO()
    log.configure(stream, pretty=False)
    return stream


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    """The log's lines."""
    return [json.loads(line) for line in written.getvalue().splitlines()]


def refusal(account: Account) -> str:
    """Why no upload may begin, if so."""
    try:
        account.room.admit()
    except NoRoomError as refused:
        return refused.reason
    return ""


def test_bytes_are_taken_up_to_the_quota_and_none_beyond(account: Account) -> None:
    """The quota is over all files; what was refused is not counted."""
    account.room.take(100, 100)
    account.room.take(100, 100)
    with pytest.raises(NoRoomError, match="The quota of 250B is used up"):
        account.room.take(51, 51)
    account.room.take(50, 50)
    with pytest.raises(NoRoomError, match="quota"):
        account.room.take(1, 1)


def test_a_file_has_a_greatest_size(account: Account) -> None:
    """However small the piece is that makes it larger."""
    account.room.take(99, 99)
    account.room.take(1, 100)
    with pytest.raises(NoRoomError, match="A file may have 100B") as refused:
        account.room.take(1, 101)
    assert refused.value.reason == "file_too_large"


def test_no_upload_begins_where_the_quota_is_used_up(account: Account) -> None:
    """Not even an empty one; what is stored already is looked at first."""
    account.usage = Usage(total=250, entries=1)
    assert refusal(account) == "quota_used_up"


def test_files_are_counted_as_they_begin(account: Account) -> None:
    """So nobody has more open than he may leave there; directories count likewise."""
    assert [refusal(account) for _ in range(6)] == [""] * 5 + ["too_many_files"]


def test_what_is_stored_is_measured_once_in_a_while(account: Account) -> None:
    """A walk through everything is not made for every file of many."""
    for _ in range(4):
        account.room.admit()
    assert account.measurements == 1


def test_what_was_removed_no_longer_counts(account: Account) -> None:
    """Whoever is told that there is no room may make some and go on at once."""
    account.usage = Usage(total=250, entries=5)
    assert refusal(account) == "quota_used_up"
    account.usage = Usage(total=0, entries=0)
    account.room.changed()
    assert refusal(account) == ""
    account.room.take(100, 100)


def test_another_allowance_holds_at_once(account: Account) -> None:
    """A reload may give more or less."""
    account.room.take(100, 100)
    account.room.allowance = Allowance(file=1000, total=100, entries=5)
    with pytest.raises(NoRoomError, match="quota of 100B"):
        account.room.take(1, 101)


def test_below_the_floor_nothing_begins_or_goes_on(account: Account) -> None:
    """The rest of the disk is for what was acknowledged."""
    account.free = 499
    assert refusal(account) == "disk_low"
    with pytest.raises(NoRoomError, match="nearly full"):
        account.room.check_floor()
    account.free = 500
    assert refusal(account) == ""


def test_a_crossing_of_the_floor_is_told_once_each_way(written: io.StringIO) -> None:
    """However often it is looked at, and however the free space plays around the floor."""
    free = iter((2_000, 999, 500, 1_001, 999, 1_099, 1_100, 1_050, 999, 3_000))
    floor = Floor(lambda: next(free), least=1_000)
    assert [floor.is_low() for _ in range(10)] == [False, True, True, False, True, False, False, False, True, False]
    assert [(line["event"], line["bytes"]) for line in lines(written)] == [
        ("disk.low", 999),
        ("disk.recovered", 1_100),
        ("disk.low", 999),
        ("disk.recovered", 3_000),
    ]
    assert lines(written)[0]["level"] == "error"
    assert lines(written)[0]["hint"]


def test_a_rewrite_without_room_is_told_once_and_is_over_when_it_was_done(written: io.StringIO) -> None:
    """Whatever is free: an alert that rests on it ends when the last export that waited has its room (rule T2)."""
    floor = Floor(lambda: 5_000, least=1_000)
    for export in ("a-1", "b-2", "a-1"):
        floor.found_no_room(export, "make room")
    assert not floor.is_low()
    for export in ("a-1", "c-3", "b-2", "b-2"):
        floor.found_room(export)
    assert [(line["event"], line.get("detail")) for line in lines(written)] == [
        ("disk.low", "a-1 waits to be rewritten"),
        ("disk.low", "b-2 waits to be rewritten"),
        ("disk.recovered", None),
    ]


def test_it_has_recovered_when_neither_the_floor_nor_a_rewrite_wants_room(written: io.StringIO) -> None:
    """In whichever order the two come to an end."""
    free = iter((999, 999, 2_000, 2_000, 999, 999, 2_000))
    floor = Floor(lambda: next(free), least=1_000)
    assert floor.is_low()
    floor.found_no_room("a-1", "make room")
    assert not floor.is_low()
    floor.found_room("a-1")
    assert floor.is_low()
    floor.found_no_room("a-1", "make room")
    floor.found_room("a-1")
    assert not floor.is_low()
    assert [line["event"] for line in lines(written)] == [*["disk.low", "disk.low", "disk.recovered"] * 2]


def test_everything_that_lies_there_is_measured(tmp_path: Path) -> None:
    """Files in directories of any depth, and no target of a link."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * 100)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 10)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "three").write_bytes(b"x")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "other")
    usage = measure((tmp_path / "a", tmp_path / "other"))
    assert usage == Usage(total=111, entries=5)
